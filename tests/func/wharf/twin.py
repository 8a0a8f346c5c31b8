"""Two ways to the same mail, and what must be equal between them.

One account lies on the new host and is asked directly; its twin was moved there and is asked through wherryd. Both hold the
same messages, so each command has the same answer but for the spelling of names and the numbers that the two hosts gave:
UIDs, UIDVALIDITY, mod-sequences. Here these are turned into a form that both share. What the protocol leaves free (the
order of FETCH items, of flags, of the lines of LIST) is sorted; everything else stays as it came, so that a difference is
one.

UIDs: the direct account was filled like the old host, so that below the UIDNEXT of the beginning both show the same ones.
From there on each counts up from a number of its own.

Mod-sequences are only known to be in the same order on both sides. A pair of them is remembered whenever both sides show
one in the same place, and must not contradict the pairs before it.
"""

import bisect
import re

from . import imap, snapshot

DIRECT, MOVED = 0, 1

# Codes without a meaning of their own in the comparison, or of capabilities that wherryd does not offer.
IDLE_CODES = {b'MAILBOXID', b'URLMECH', b'ANNOTATIONS', b'INPROGRESS', b'ALERT'}
MODSEQ_CODES = {b'HIGHESTMODSEQ', b'NOMODSEQ'}


class Different(AssertionError):
    pass


class Mod:
    """A mod-sequence of one side, compared by order."""

    def __init__(self, value):
        self.value = int(value)

    def __repr__(self):
        return 'mod-sequence %d' % self.value


class High(Mod):
    """HIGHESTMODSEQ. It may grow without a change of any message, so it must not fall, and not be below what was shown."""


class Box:
    """One mailbox on both sides. `first` has the UIDNEXT of the beginning per side, `high` the HIGHESTMODSEQ."""

    def __init__(self, first=(1, 1), high=(0, 0), there=()):
        self.first, self.high = list(first), list(high)
        self.there = frozenset(there)
        self.pairs = []
        self.told = list(high)
        self.validity = [None, None]

    def common(self, side, uid):
        """The shared form of a UID: what the direct side would call it."""
        uid = int(uid)
        if uid < self.first[DIRECT]:
            return uid
        if uid < self.first[side]:
            return 'UID %d of the gap' % uid
        return uid - self.first[side] + self.first[DIRECT]

    def own(self, side, uid):
        """The other way round."""
        return uid if uid < self.first[DIRECT] else uid - self.first[DIRECT] + self.first[side]

    def known(self, uid):
        """Whether a message may ever have had this UID (a hole of the old mailbox had none that counts)."""
        return isinstance(uid, str) or uid >= self.first[DIRECT] or uid in self.there

    def pair(self, a, b):
        """Take a pair of mod-sequences; what is wrong with it, or None."""
        new = (a > self.high[0], b > self.high[1])
        if new == (False, False):
            return None
        if new[0] != new[1]:
            return 'one is from before the test, the other is not'
        at = bisect.bisect_left(self.pairs, (a, b))
        if at < len(self.pairs) and self.pairs[at] == (a, b):
            return None
        for other in self.pairs[max(0, at - 1):at + 1]:
            if (other[0] < a) != (other[1] < b) or (other[0] == a) != (other[1] == b):
                return 'another order than %r' % (other,)
        self.pairs.insert(at, (a, b))
        return None

    def highest(self, values):
        """Take what both sides say is their highest; what is wrong with it, or None."""
        for side, value in enumerate(values):
            if value < self.told[side] or any(p[side] > value for p in self.pairs[-1:]):
                return 'HIGHESTMODSEQ %d after %d' % (value, max([self.told[side]] + [p[side] for p in self.pairs]))
        self.told = list(values)
        return None


class Side:
    """How one side writes names, and what it offers. `ours` are the first levels of names that take part."""

    def __init__(self, which, connect, sep, prefix):
        self.which, self.connect, self.sep, self.prefix = which, connect, sep, prefix
        self.caps = set()

    def name(self, levels):
        return self.prefix + self.sep.join(imap.mutf7(x) for x in levels) if levels else b'INBOX'

    def levels(self, name):
        """A name of a reply as a tuple of encoded levels; INBOX is ()."""
        if name.upper() == b'INBOX':
            return ()
        if not name.startswith(self.prefix):
            return ('not in the namespace', name)
        return tuple(name[len(self.prefix):].split(self.sep))


def encoded(levels):
    return tuple(imap.mutf7(x) for x in levels)


class Reader:
    """Turns the replies of one side into the shared form. `tree` maps encoded levels to boxes, `box` is the selected one, `dest`
    the one that the command copies to; uids: the command speaks of UIDs; shared: capabilities of both sides."""

    def __init__(self, side, tree, box, dest, uids, shared):
        self.side, self.tree, self.box, self.dest, self.uids, self.shared = side, tree, box, dest, uids, shared

    def uid(self, text, box=None):
        box = box or self.box
        return box.common(self.side.which, text) if box else int(text)

    def set(self, text, box=None):
        return [self.uid(n, box) for n in imap.numbers(text)]

    def validity(self, text, box):
        """The same mailbox keeps its UIDVALIDITY; what it is differs."""
        if box is None:
            return 'UIDVALIDITY'
        was = box.validity[self.side.which]
        if was is None:
            box.validity[self.side.which] = was = text
        return 'UIDVALIDITY' if was == text else 'UIDVALIDITY %s instead of %s' % (text.decode(), was.decode())

    # ---- untagged replies

    def line(self, line):
        """The shared form of an untagged line; None: nothing to compare."""
        m = re.match(rb'\* (?:(\d+) )?([A-Za-z0-9-]+)', line.parts[0])
        if not m:
            return ('strange', line.text)
        word = m.group(2).upper()
        if word in (b'OK', b'NO', b'BAD', b'BYE', b'PREAUTH'):
            return self.status(word, line.text[m.end():].lstrip())
        p = imap.Parser(line.parts)
        p.pos = m.end()
        values = p.rest()
        f = getattr(self, 'on_' + word.decode().lower(), None)
        if f:
            return f(values, int(m.group(1)) if m.group(1) else None)
        return (word, m.group(1), plain(values))

    def status(self, word, text):
        code = self.code(text)
        if word == b'OK' and not code:
            return None
        return (word, code)

    def on_capability(self, values, number):
        return None

    # Which session is the first to see a message, and when it hears of it, is free.
    on_namespace = on_id = on_recent = on_capability

    def on_enabled(self, values, number):
        names = {v.upper() for v in values} & self.shared
        if b'QRESYNC' in names:
            names.discard(b'CONDSTORE')  # comes with it, named or not
        return ('ENABLED', sorted(names)) if names else None

    def on_flags(self, values, number):
        return ('FLAGS', sorted(snapshot.plain_flags(values[0])))

    def on_fetch(self, values, number):
        items = {}
        for k, v in zip(values[0][::2], values[0][1::2]):
            k = k.upper()
            items[k] = self.fetch_item(k, v)
        return ('FETCH', number, items)

    def fetch_item(self, name, value):
        if name == b'UID':
            return self.uid(value)
        if name == b'FLAGS':
            return sorted(snapshot.plain_flags(value))
        if name == b'INTERNALDATE':
            return snapshot.instant(value)
        if name == b'MODSEQ':
            return Mod(value[0])
        if name == b'SAVEDATE':
            return 'a date' if value else None
        return plain(value)

    def on_search(self, values, number):
        out, mod = [], None
        for v in values:
            if isinstance(v, list):
                mod = Mod(v[1])
            else:
                out.append(self.uid(v) if self.uids else int(v))
        return ('SEARCH', sorted(out, key=str), mod)

    def on_sort(self, values, number):
        numbers = [v for v in values if not isinstance(v, list)]
        mod = [Mod(v[1]) for v in values if isinstance(v, list)]
        return ('SORT', [self.uid(v) if self.uids else int(v) for v in numbers], mod)

    def on_thread(self, values, number):
        def deep(v):
            if isinstance(v, list) and v[:1] == [b'MODSEQ']:
                return Mod(v[1])
            return [deep(x) for x in v] if isinstance(v, list) else self.uid(v) if self.uids else int(v)
        return ('THREAD', deep(values))

    def on_esearch(self, values, number):
        uids, out = False, {}
        if values and isinstance(values[0], list):
            values = values[1:]  # the tag; imap.Conn's are the same on both sides
        if values and values[0] == b'UID':
            uids, values = True, values[1:]
        for k, v in zip(values[::2], values[1::2]):
            k = k.upper()
            if k == b'MODSEQ':
                v = Mod(v)
            elif k == b'ALL':
                v = sorted(self.set(v) if uids else imap.numbers(v), key=str)
            elif k in (b'MIN', b'MAX') and uids:
                v = self.uid(v)
            elif k == b'PARTIAL':
                v = [v[0], self.set(v[1]) if uids and v[1] else v[1]]
            out[k] = v
        return ('ESEARCH', uids, out)

    def on_vanished(self, values, number):
        earlier = isinstance(values[0], list)
        uids = self.set(values[-1])
        if earlier and self.box:
            uids = [u for u in uids if self.box.known(u)]
            if not uids:
                return None
        return ('VANISHED', earlier, sorted(uids, key=str))

    def listed(self, word, values):
        levels = self.side.levels(values[2])
        if levels and levels[0] not in OURS:
            return None
        flags = sorted(f.lower() for f in values[0] if f.lower() not in (b'\\marked', b'\\unmarked', b'\\noinferiors'))
        if b'\\subscribed' in flags:  # then children are told where RETURN asks for them, or always
            flags = [f for f in flags if b'children' not in f]
        more = sorted((bytes(k).upper(), sorted(map(bytes, v))) for k, v in zip(values[3][::2], values[3][1::2])) if values[3:] else []
        return (word, levels, flags, [m for m in more if m[0] == b'CHILDINFO'])

    def on_list(self, values, number):
        return self.listed('LIST', values)

    def on_lsub(self, values, number):
        return self.listed('LSUB', [[f for f in values[0] if b'children' not in f.lower()]] + values[1:])

    def on_status(self, values, number):
        levels = self.side.levels(values[0])
        if levels and levels[0] not in OURS:
            return None
        box, items = self.tree.get(levels), {}
        for k, v in zip(values[1][::2], values[1][1::2]):
            k = k.upper()
            if k == b'UIDNEXT':
                v = self.uid(v, box)
            elif k == b'UIDVALIDITY':
                v = self.validity(v, box)
            elif k == b'HIGHESTMODSEQ':
                v = High(v) if box and box is self.box else 'HIGHESTMODSEQ'
            items[k] = v
        return ('STATUS', levels, items)

    def on_quotaroot(self, values, number):
        return ('QUOTAROOT', self.side.levels(values[0]), len(values))

    def on_quota(self, values, number):
        return ('QUOTA', [x for x in values[1][0::3]])

    def on_acl(self, values, number):
        return ('ACL', self.side.levels(values[0]), sorted(len(v) for v in values[2::2]))

    def on_myrights(self, values, number):
        return ('MYRIGHTS', self.side.levels(values[0]), sorted(values[1]))

    def on_metadata(self, values, number):
        return ('METADATA', self.side.levels(values[0]) if values[0] else None, plain(values[1:]))

    # ---- codes

    def code(self, text):
        """The shared form of the code that a status text begins with."""
        m = re.match(rb'\[([^\]]*)\]', text)
        if not m:
            return None
        words = re.sub(rb'[()]', b' ', m.group(1)).split()
        name = words[0].upper()
        if name in IDLE_CODES or (name in MODSEQ_CODES and b'CONDSTORE' not in self.shared):
            return None
        if name == b'UIDNEXT':
            return (name, self.uid(words[1]))
        if name == b'UIDVALIDITY':
            return (name, self.validity(words[1], self.box))
        if name == b'HIGHESTMODSEQ':
            return (name, High(words[1]))
        if name == b'MODIFIED':
            return (name, sorted(self.set(words[1]) if self.uids else imap.numbers(words[1]), key=str))
        if name == b'APPENDUID':
            return (name, self.validity(words[1], self.dest), self.set(words[2], self.dest))
        if name == b'COPYUID':
            return (name, self.validity(words[1], self.dest), self.set(words[2]), self.set(words[3], self.dest))
        if name in (b'PERMANENTFLAGS', b'BADCHARSET'):
            return (name, sorted(snapshot.plain_flags(words[1:])) if name == b'PERMANENTFLAGS' else None)
        return (name,) + tuple(words[1:])


OURS = set()


def plain(v):
    if isinstance(v, (list, tuple)):
        return [plain(x) for x in v]
    return bytes(v) if v is not None else None


def compare(a, b, box, where=''):
    """None, or where the two shared forms differ."""
    if isinstance(a, Mod) and isinstance(b, Mod):
        if box is None:
            return None
        highest = isinstance(a, High)
        wrong = box.highest((a.value, b.value)) if highest else box.pair(a.value, b.value)
        return wrong and '%s: mod-sequences %d and %d: %s' % (where, a.value, b.value, wrong)
    if type(a) is not type(b):
        return '%s: %r and %r' % (where, a, b)
    if isinstance(a, dict):
        if sorted(a) != sorted(b):
            return '%s: items %r and %r' % (where, sorted(a), sorted(b))
        found = (compare(a[k], b[k], box, '%s %s' % (where, k)) for k in a)
    elif isinstance(a, (list, tuple)):
        if len(a) != len(b):
            at = next((i for i, (x, y) in enumerate(zip(a, b)) if repr(x) != repr(y)), min(len(a), len(b)))
            return '%s: %d and %d, from number %d on: %.300r and %.300r' % (where, len(a), len(b), at + 1, a[at:], b[at:])
        found = (compare(x, y, box, where) for x, y in zip(a, b))
    else:
        return None if a == b else '%s: %r and %r' % (where, a, b)
    return next((f for f in found if f), None)
