"""The goods of a large merchant and their buyers: the goods, names and places from which filled orders are drawn.

As everywhere, some goods sell far more often than others. All people and addresses are invented; `#` in a postal code
or phone number stands for any digit, `@` for any letter.
"""

from random import Random
from typing import Final

Ware = tuple[str, str, str, int]  # sku, asin, title, price in US cents
_COLORS: Final = (
    ("BLU", "blue"), ("RED", "red"), ("GRN", "green"), ("BLK", "black"), ("WHT", "white"), ("GRY", "gray"),
    ("SND", "sand"), ("OLV", "olive"), ("NVY", "navy"), ("CRL", "coral"),
)  # fmt: skip
_SIZED: Final = (
    ("TEE", "Organic cotton T-shirt", 1999), ("HOOD", "Fleece hooded sweater", 4590), ("SOCK", "Wool socks", 1390),
    ("CAP", "Corduroy cap", 1850), ("GLOVE", "Knitted gloves", 1675), ("APRON", "Linen apron", 2490),
    ("ROBE", "Bath robe", 5490), ("SLIP", "Felt slippers", 2999), ("SHORT", "Running shorts", 2250),
    ("RAIN", "Rain jacket", 7990), ("VEST", "Quilted vest", 5250), ("PYJ", "Flannel pajamas", 3990),
)  # fmt: skip
_PLAIN: Final = (
    ("MUG", "Stoneware mug", 1290), ("BOWL", "Stoneware bowl", 1490), ("PLATE", "Dinner plate, set of 4", 3990),
    ("JUG", "Enamel jug", 2590), ("LAMP", "Desk lamp", 4450), ("CLOCK", "Wall clock", 3290),
    ("NOTE", "Notebook A5, dotted", 895), ("PEN", "Fountain pen", 3400), ("CASE", "Pencil case", 1250),
    ("KNIFE", "Chef's knife", 6900), ("BOARD", "Cutting board", 2790), ("PAN", "Cast-iron pan", 4990),
    ("TOTE", "Canvas tote bag", 1450), ("PACK", "Backpack, water-repellent", 5990), ("WALLET", "Leather wallet", 3590),
    ("MAT", "Yoga mat, non-slip", 2799), ("ROLLER", "Foam roller", 1999), ("ROPE", "Skipping rope", 1290),
    ("BOTTLE", "Vacuum bottle", 2490), ("LUNCH", "Lunch box", 1899), ("CABLE", "USB-C cable, braided", 1099),
    ("HUB", "USB-C hub, seven ports", 3990), ("STAND", "Laptop stand", 2990), ("SLEEVE", "Laptop sleeve", 2190),
    ("SOAP", "Lavender soap", 1175), ("TOWEL", "Waffle towel", 1690), ("CURTAIN", "Shower curtain", 2290),
    ("PILLOW", "Cushion cover", 1590), ("THROW", "Woven throw", 4590), ("RUG", "Jute rug", 8990),
    ("VASE", "Glass vase", 2390), ("FRAME", "Picture frame", 1690), ("CANDLE", "Beeswax candle", 1390),
    ("TEA", "Tea tin", 949), ("KETTLE", "Gooseneck kettle", 5490), ("GRIND", "Coffee grinder", 6490),
    ("PUZZLE", "Puzzle, 1000 pieces", 1895), ("CARDS", "Playing cards", 790), ("KITE", "Delta kite", 2450),
    ("HAMMOCK", "Hammock", 5990), ("TENT", "Two-person tent", 14900), ("STOVE", "Camping stove", 4290),
    ("PLANTER", "Plant pot", 1790), ("CAN", "Watering can", 2190), ("GLASS", "Drinking glass, set of 6", 2490),
)  # fmt: skip
_SIZES: Final = ("XS", "S", "M", "L", "XL")
_KINDS: Final = ("small", "medium", "large")


def _asin(number: int) -> str:
    letters = "0123456789ABCDEFGHJKLMNPQRSTUVWXYZ"
    mixed, text = (number * 2654435761 + 97) % len(letters) ** 7, ""
    for _ in range(7):
        mixed, digit = divmod(mixed, len(letters))
        text += letters[digit]
    return f"B0P{text}"


def _wares() -> tuple[Ware, ...]:
    """Some two thousand goods, the best sellers first."""
    made = [
        (f"{code}-{color}-{size}", f"{title}, {shade}, {size}", cents + 100 * step)
        for code, title, cents in _SIZED
        for color, shade in _COLORS
        for step, size in enumerate(_SIZES)
    ]
    made += [
        (f"{code}-{color}-{kind[0].upper()}", f"{title}, {shade}, {kind}", cents + cents // 3 * step)
        for code, title, cents in _PLAIN
        for color, shade in _COLORS
        for step, kind in enumerate(_KINDS)
    ]
    Random("assortment").shuffle(made)
    return tuple((sku, _asin(number), title, cents) for number, (sku, title, cents) in enumerate(made))


WARES: Final = _wares()


def place(chance: Random) -> int:
    """The position of a ware that somebody buys: a tenth of the goods make a third of the sales."""
    return int(len(WARES) * chance.random() ** 2)


def digits(pattern: str, chance: Random) -> str:
    """The pattern with a digit for each `#` and, for each `@`, a letter of British and Canadian codes."""
    if "#" not in pattern and "@" not in pattern:
        return pattern
    put = {"#": "0123456789", "@": "ABEGHJLNPRSTWXYZ"}
    return "".join(chance.choice(put[letter]) if letter in put else letter for letter in pattern)


_EUROPEAN: Final = {
    "DE": (
        "Mia Jürgen Anneliese Björn Katharina Özlem Lukas Emma Ben Hannah Paul Sofia Jonas Lina Finn Marie Leon Clara "
        "Elias Ida Felix Greta Moritz Johanna Anton Frieda Theo Mathilda Jakob Lotte Karl Helene Oskar Rosa Emil Ella",
        "Müller Weiß Schröder Yılmaz Groß Schmidt Schneider Fischer Weber Meyer Wagner Becker Schulz Hoffmann Schäfer "
        "Koch Bauer Richter Klein Wolf Neumann Schwarz Zimmermann Braun Krüger Hofmann Hartmann Lange Krause Lehmann "
        "Köhler Herrmann König Walter Mayer Huber Kaiser Fuchs Peters Scholz Möller Jung Hahn Keller Vogel Winkler",
    ),
    "FR": (
        "Élodie François Chloé Noël Anaïs Théo Camille Lucas Manon Hugo Léa Jules Louis Jade Gabriel Louise Raphaël "
        "Alice Arthur Zoé Adam Juliette Nathan Margaux Antoine Clémence Maxime Aurélie Baptiste Océane Quentin",
        "Lefèvre Garçon Dubois Nuñez Martin Bernard Thomas Petit Robert Durand Leroy Moreau Simon Laurent Michel "
        "Garcia David Bertrand Roux Vincent Fournier Morel Girard André Mercier Dupont Lambert Bonnet Rousseau Blanc "
        "Guérin Muller Henry Perrin Morin Mathieu Clément Gauthier Chevalier",
    ),
    "IT": ("Giulia Niccolò Sofia Matteo Aurora Leonardo Chiara Andrea Martina Davide Elisa Luca",
           "Rossi Esposito Bianchi Romano Colombo Ricci Marino Greco Bruno Gallo Conti De_Luca Mancini Costa"),
    "ES": ("Lucía Íñigo María_José Álvaro Carmen Pablo Elena Sergio Nuria Javier Marta Diego",
           "Muñoz Ibáñez García Fernández López Martínez Sánchez Pérez Gómez Ruiz Hernández Díaz Moreno Álvarez"),
    "UK": (
        "Amelia Oliver Siân Harry Isla George Poppy Jack Freya Alfie Evie Arthur Daisy Rhys Ailsa Callum Niamh Tomos",
        "Taylor Fitzgerald-Jones Patel Evans Wilson Davies Wright Walker Thompson White Hughes Green Hall Wood Clarke "
        "Khan Hill Moore Ward Turner Cooper King Baker Harrison Morgan Allen James Scott Phillips Watson Macleod",
    ),
}  # fmt: skip
_OVERSEAS: Final = {
    "US": (
        "Olivia Noah Ava Liam Grace Ethan Zoë Mateo Emma James Sophia Isabella Lucas Mia Henry Harper Alexander "
        "Evelyn Jackson Camila Sebastian Luna Aiden Chloe Samuel Layla Joseph Riley Wyatt Nora Carter Hazel Julian "
        "Levi Stella Isaac Violet Ezra Naomi Caleb Ruby Nolan Alice Elias Sadie Miles Autumn Jasper",
        "Smith O'Brien Nguyen García Williams Johnson Kowalski Brown Jones Miller Davis Rodriguez Martinez Hernandez "
        "Lopez Gonzalez Wilson Anderson Thomas Taylor Moore Jackson Martin Lee Perez Thompson White Harris Clark "
        "Ramirez Lewis Robinson Walker Young Allen King Wright Scott Torres Hill Flores Green Adams Nelson Baker Hall "
        "Rivera Campbell Mitchell Carter Roberts Gomez Phillips Evans Turner Diaz Parker Cruz Edwards Collins Reyes",
    ),
    "CA": ("Charlotte William Chloé Lucas Emma Liam Florence Thomas Rosalie Félix Hannah Owen Maya Nathan",
           "Tremblay MacDonald Singh Roy Gagnon Côté Bouchard Gauthier Wilson Campbell Lavoie Fortin Chan Stewart"),
    "JP": ("陽菜 翔太 美咲 健太 さくら 結衣 大翔 葵 蓮 凛 悠真 美月 陸 七海 颯太 彩花 拓海 由美 直樹 恵子",
           "佐藤 鈴木 高橋 渡邉 髙橋 田中 伊藤 山本 中村 小林 加藤 吉田 山田 佐々木 山口 松本 井上 木村 林 斎藤"),
}  # fmt: skip
_NAMES: Final = _EUROPEAN | _OVERSEAS
FIRST_NAMES: Final = {
    code: tuple(first.replace("_", " ") for first in both[0].split()) for code, both in _NAMES.items()
}
LAST_NAMES: Final = {code: tuple(last.replace("_", " ") for last in both[1].split()) for code, both in _NAMES.items()}
# city, state, postal code, as each country writes them
CITIES: Final = {
    "US": (
        ("Seattle", "WA", "981##"), ("New York", "NY", "100##-45##"), ("Boston", "MA", "021##"),
        ("Chicago", "IL", "606##"), ("Austin", "TX", "787##"), ("Denver", "CO", "802##"), ("Portland", "OR", "972##"),
        ("Atlanta", "GA", "303##"), ("Phoenix", "AZ", "850##"), ("Nashville", "TN", "372##"), ("Miami", "FL", "331##"),
        ("Columbus", "OH", "432##"), ("Saint Paul", "MN", "551##"), ("San Diego", "CA", "921##"),
        ("Philadelphia", "PA", "191##"), ("Kansas City", "MO", "641##"), ("Boise", "ID", "837##"),
        ("Richmond", "VA", "232##"), ("Madison", "WI", "537##"), ("Honolulu", "HI", "968##"),
    ),
    "CA": (("Montréal", "QC", "H3B #@#"), ("Toronto", "ON", "M5V #@#"), ("Vancouver", "BC", "V6B #@#"),
           ("Calgary", "AB", "T2P #@#"), ("Halifax", "NS", "B3J #@#")),
    "UK": (("London", "", "SW1A #@@"), ("Leeds", "West Yorkshire", "LS1 #@@"), ("Glasgow", "", "G2 #@@"),
           ("Cardiff", "", "CF10 #@@"), ("Bristol", "", "BS1 #@@"), ("Norwich", "Norfolk", "NR2 #@@")),
    "DE": (
        ("Hamburg", "", "203##"), ("Köln", "Nordrhein-Westfalen", "506##"), ("Dresden", "", "010##"),
        ("Berlin", "", "101##"), ("München", "Bayern", "803##"), ("Leipzig", "", "041##"), ("Bremen", "", "281##"),
        ("Münster", "", "481##"), ("Freiburg im Breisgau", "", "790##"), ("Kiel", "", "241##"),
        ("Nürnberg", "Bayern", "904##"), ("Saarbrücken", "", "661##"),
    ),
    "FR": (
        ("Paris", "", "750##"), ("Saint-Étienne", "", "420##"), ("Bourg-en-Bresse", "", "010##"), ("Lyon", "", "690##"),
        ("Marseille", "", "130##"), ("Nantes", "", "440##"), ("Lille", "", "590##"), ("Rennes", "", "350##"),
        ("Orléans", "", "450##"), ("Besançon", "", "250##"),
    ),
    "IT": (("Milano", "MI", "201##"), ("Forlì", "FC", "471##"), ("Torino", "TO", "101##"), ("Bari", "BA", "701##")),
    "ES": (("Madrid", "Madrid", "280##"), ("A Coruña", "A Coruña", "150##"), ("Sevilla", "Sevilla", "410##"),
           ("Gijón", "Asturias", "332##")),
    "JP": (
        ("渋谷区", "東京都", "150-00##"), ("大阪市北区", "大阪府", "530-00##"), ("札幌市中央区", "北海道", "060-00##"),
        ("名古屋市中区", "愛知県", "460-00##"), ("福岡市博多区", "福岡県", "812-00##"),
        ("仙台市青葉区", "宮城県", "980-00##"),
    ),
}  # fmt: skip
PHONES: Final = {
    "US": "+1 ###-555-01{:02}",
    "CA": "+1 ###-555-01{:02}",
    "UK": "+44 20 7946 0#{:02}",
    "DE": "+49 30 9018####{:02}",
    "FR": "+33 1 99 00 ## {:02}",
    "IT": "+39 02 5550 ##{:02}",
    "ES": "+34 910 55# #{:02}",
    "JP": "+81 3-5550-##{:02}",
}
