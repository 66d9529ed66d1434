from collections import Counter

import tests.billing.test_ledger as t

done = Counter()
orig = t.Scene.perform


def perform(self, step):
    name, *w = step
    try:
        getattr(self, name)(*w)
        done[name, "ok"] += 1
    except t.DeskError as e:
        t.db.session.rollback()
        done[name, type(e).__name__] += 1


t.Scene.perform = perform
from tests.billing.test_ledger import *


def test_zz():
    print(sorted(done.items()))
