"""The goods of the practice store and its buyers: lists to draw from. All people and addresses are invented."""

from typing import Final

# sku, asin, title, price in US cents; SKUs as sellers really write them
WARES: Final = (
    ("MUG-BLUE", "B0PRACT001", "Stoneware mug, blue, 350 ml", 1290),
    ("MUG-RED", "B0PRACT002", "Stoneware mug, red, 350 ml", 1290),
    ("TEE-M-BLK", "B0PRACT003", "Organic cotton T-shirt, black, M", 1999),
    ("TEE-L-WHT", "B0PRACT004", "Organic cotton T-shirt, white, L", 1999),
    ("LAMP 40W / warm", "B0PRACT005", "Desk lamp, warm white", 4450),
    ("0012-0450", "B0PRACT006", "Notebook A5, dotted, 192 pages", 895),
    ("KNIFE-20", "B0PRACT007", "Chef's knife 20 cm", 6900),
    ("BAG.CANVAS", "B0PRACT008", "Canvas tote bag", 1450),
    ("YOGA-MAT-6MM", "B0PRACT009", "Yoga mat 6 mm, non-slip", 2799),
    ("CABLE-USBC-2M", "B0PRACT010", "USB-C cable 2 m, braided", 1099),
    ("SOAP-LAV-3", "B0PRACT011", "Lavender soap, pack of 3", 1175),
    ("TEA-EARL-100", "B0PRACT012", "Earl Grey tea, 100 bags", 949),
    ("PUZZLE-1000", "B0PRACT013", "Puzzle \"Harbor at dusk\", 1000 pieces", 1895),
    ("BACKPACK-22L", "B0PRACT014", "Backpack 22 l, water-repellent", 5990),
    ("SOCKS-WOOL-42", "B0PRACT015", "Wool socks, 39–42", 1390),
    ("PEN-FTN-F", "B0PRACT016", "Fountain pen, fine nib", 3400),
)  # fmt: skip
ODD_SKUS: Final = (
    "A/B %#é 日本",
    "  two  spaces",
    "sku?x=1&y=2",
    "ÄÖÜ-ß/10%",
    "+plus+sign",
    "コップ・青",
    "<b>bold</b>",
)

FIRST_NAMES: Final = {
    "US": ("Olivia", "Noah", "Ava", "Liam", "Grace", "Ethan", "Zoë", "Mateo"),
    "CA": ("Charlotte", "William", "Chloé", "Lucas"),
    "UK": ("Amelia", "Oliver", "Siân", "Harry"),
    "DE": ("Mia", "Jürgen", "Anneliese", "Björn", "Katharina", "Özlem", "Lukas"),
    "FR": ("Élodie", "François", "Chloé", "Noël", "Anaïs", "Théo"),
    "IT": ("Giulia", "Niccolò", "Sofia", "Matteo"),
    "ES": ("Lucía", "Íñigo", "María José", "Álvaro"),
    "JP": ("陽菜", "翔太", "美咲", "健太", "さくら"),
}
LAST_NAMES: Final = {
    "US": ("Smith", "O'Brien", "Nguyen", "García", "Williams", "Johnson", "Kowalski"),
    "CA": ("Tremblay", "MacDonald", "Singh", "Roy"),
    "UK": ("Taylor", "Fitzgerald-Jones", "Patel", "Evans"),
    "DE": ("Müller", "Weiß", "Schröder", "von der Heide", "Yılmaz", "Groß"),
    "FR": ("Lefèvre", "D'Aboville", "Garçon", "Dubois", "Nuñez"),
    "IT": ("Rossi", "Dell'Acqua", "Esposito"),
    "ES": ("Muñoz", "Ibáñez", "Fernández de la Vega"),
    "JP": ("佐藤", "鈴木", "高橋", "渡邉", "髙橋"),
}
UNUSUAL_NAMES: Final = (
    "שרה כהן",
    "محمد عبد الله",
    "Анна Кузнецова",
    "Σοφία Παπαδοπούλου",
    "김민준",
    "Sunny 🌻 Day",
    '=HYPERLINK("http://example.invalid")',
    "<script>alert('name')</script>",
    "Wolfeschlegelsteinhausenbergerdorff-" + "Montgomery-" * 12 + "Smythe",
    "o",
)
GIFT_MESSAGES: Final = (
    "Happy birthday, Grandma! 🎂",
    "Alles Gute zum Geburtstag!\nDeine Enkel",
    "Joyeux anniversaire, à très bientôt",
    "お誕生日おめでとうございます",
    "<b>With love</b> & kisses",
)
STREETS: Final = {
    "US": ("Maple Street", "W 34th St Apt 5B", "Ocean Drive"),
    "CA": ("Rue Sainte-Catherine O", "King Street W"),
    "UK": ("Station Road", "The Crescent, Flat 2"),
    "DE": ("Hauptstraße", "Große Bleichen", "Am Alten Markt"),
    "FR": ("rue de l'Église", "boulevard Saint-Michel", "allée des Érables"),
    "IT": ("Via Garibaldi", "Corso Umberto I"),
    "ES": ("Calle Mayor", "Avda. de la Constitución"),
    "JP": ("神宮前", "梅田", "北二条西"),
}
# city, state, postal code, as each country writes them
CITIES: Final = {
    "US": (("Seattle", "WA", "98109"), ("New York", "NY", "10001-4512"), ("Boston", "MA", "02118")),
    "CA": (("Montréal", "QC", "H3B 1A7"), ("Toronto", "ON", "M5V 2T6")),
    "UK": (("London", "", "SW1A 1AA"), ("Leeds", "West Yorkshire", "LS1 4DY")),
    "DE": (("Hamburg", "", "20354"), ("Köln", "Nordrhein-Westfalen", "50667"), ("Dresden", "", "01067")),
    "FR": (("Paris", "", "75005"), ("Saint-Étienne", "", "42000"), ("Bourg-en-Bresse", "", "01000")),
    "IT": (("Milano", "MI", "20121"), ("Forlì", "FC", "47121")),
    "ES": (("Madrid", "Madrid", "28013"), ("A Coruña", "A Coruña", "15001")),
    "JP": (
        ("渋谷区", "東京都", "150-0001"),
        ("大阪市北区", "大阪府", "530-0001"),
        ("札幌市中央区", "北海道", "060-0002"),
    ),
}
PHONES: Final = {
    "US": "+1 206-555-01{:02}",
    "CA": "+1 416-555-01{:02}",
    "UK": "+44 20 7946 09{:02}",
    "DE": "+49 30 901820{:02}",
    "FR": "+33 1 99 00 12 {:02}",
    "IT": "+39 02 5550 01{:02}",
    "ES": "+34 910 555 0{:02}",
    "JP": "+81 3-5550-01{:02}",
}
CARRIERS: Final = {
    "US": (("UPS", "Ground", "1Z999AA1{:010}"), ("USPS", "Priority Mail", "94001118995600{:08}")),
    "CA": (("Canada Post", "Expedited Parcel", "70230{:011}"),),
    "UK": (("Royal Mail", "Tracked 48", "RM{:09}GB"), ("DPD", "Next Day", "155{:011}")),
    "DE": (("DHL", "Paket", "003404{:014}"), ("Hermes", "S", "H100{:016}")),
    "FR": (("La Poste", "Colissimo", "6A{:011}"), ("Chronopost", "Chrono 18", "XY{:09}FR")),
    "IT": (("Poste Italiane", "Crono", "PI{:010}"),),
    "ES": (("Correos", "Paq 48", "PQ{:015}"),),
    "JP": (("Yamato Transport", "宅急便", "{:012}"), ("Japan Post", "ゆうパック", "{:012}")),
}
