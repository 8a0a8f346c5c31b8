"""What a person sees in an account, as plain data, and what differs between two such views."""

import calendar
import hashlib
import re
import time

from . import imap


def instant(text):
    """An IMAP date-time as seconds since 1970."""
    m = re.match(rb' ?(\d+)-(...)-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)$', text)
    if not m:
        raise imap.Failure('not a date-time: %r' % text)
    day, mon, year, h, mi, s, sign, zh, zm = m.groups()
    t = calendar.timegm((int(year), time.strptime(mon.decode(), '%b').tm_mon, int(day), int(h), int(mi), int(s)))
    off = int(zh) * 3600 + int(zm) * 60
    return t - (off if sign == b'+' else -off)


class Message:
    __slots__ = ('flags', 'date', 'size', 'said', 'digest')

    def __init__(self, flags, date, size, said, digest):
        self.flags, self.date, self.size, self.said, self.digest = flags, date, size, said, digest

    def __eq__(self, other):
        return (self.flags, self.date, self.digest) == (other.flags, other.date, other.digest)

    def __repr__(self):
        return 'flags=%s date=%s size=%d sha256=%.12s' % (
            b' '.join(sorted(self.flags)).decode(), self.date, self.size, self.digest)


class Mailbox:
    def __init__(self):
        self.validity = self.next = self.exists = None
        self.messages = {}


def plain_flags(flags):
    """Flags without \\Recent; system flags in one spelling, keywords as they are."""
    return frozenset(f.lower() if f.startswith(b'\\') else f for f in flags if f.lower() != b'\\recent')


def mailbox(c, name, how=b'EXAMINE', bodies=True):
    """Read one mailbox."""
    r = c.select(name, how)
    m = Mailbox()
    m.exists = int(r.lines(b'EXISTS')[-1][0])
    m.validity = int(r.codes(b'UIDVALIDITY')[-1])
    uidnext = r.codes(b'UIDNEXT')
    m.next = int(uidnext[-1]) if uidnext else None
    items = b'(UID FLAGS INTERNALDATE RFC822.SIZE%s)' % (b' BODY.PEEK[]' if bodies else b'')
    last = 0
    if m.exists:
        for v in c.ok(b'FETCH 1:* ' + items).lines(b'FETCH'):
            uid = imap.fetch_item(v, b'UID')
            date = imap.fetch_item(v, b'INTERNALDATE')
            if uid is None or date is None:
                continue  # somebody else's change of flags
            uid = int(uid)
            if uid <= last:
                raise imap.Failure('%r: UID %d after %d' % (name, uid, last))
            last = uid
            body = imap.fetch_item(v, b'BODY[]') if bodies else b''
            if body is None:
                body = b''
            m.messages[uid] = Message(plain_flags(imap.fetch_item(v, b'FLAGS')), instant(date), len(body),
                                      int(imap.fetch_item(v, b'RFC822.SIZE')), hashlib.sha256(body).hexdigest())
    if len(m.messages) != m.exists:
        raise imap.Failure('%r: %d EXISTS, but %d messages' % (name, m.exists, len(m.messages)))
    return m


def fold_inbox(name):
    return b'INBOX' if name.upper() == b'INBOX' else name


class Account:
    """names: {name: attributes that matter}, separator, subscribed, mailboxes: {name: Mailbox}."""

    def __init__(self, c, how=b'EXAMINE', bodies=True, only=None):
        listed = c.list()
        self.separator = {sep for _, sep, _ in listed}
        self.names = {fold_inbox(name): frozenset(flags) for flags, _, name in listed}
        if len(self.names) != len(listed):
            raise imap.Failure('a name is listed twice: %r' % sorted(n for _, _, n in listed))
        # With \Noselect LSUB tells of a parent that is not subscribed itself.
        self.subscribed = {fold_inbox(name) for flags, _, name in c.list(b'LSUB') if b'\\noselect' not in flags}
        self.mailboxes = {}
        for name, flags in self.names.items():
            if not flags & {b'\\noselect', b'\\nonexistent'} and (only is None or name in only):
                self.mailboxes[name] = mailbox(c, name, how, bodies)

    def total(self):
        return sum(len(m.messages) for m in self.mailboxes.values())

    def digests(self):
        """Every message of the account, as a sorted list of digests."""
        return sorted(m.digest for box in self.mailboxes.values() for m in box.messages.values())


def compare_mailbox(name, a, b, left=(), uids=True, validity=True):
    """Differences of mailbox `b` from `a`, as lines; `left` are UIDs of `a` that were left behind."""
    out = []
    say = name.decode(errors='replace') if isinstance(name, bytes) else name
    if validity and a.validity != b.validity:
        out.append('%s: UIDVALIDITY %s became %s' % (say, a.validity, b.validity))
    if uids and a.next and b.next and b.next < a.next:
        out.append('%s: UIDNEXT went back from %s to %s' % (say, a.next, b.next))
    x = {u: m for u, m in a.messages.items() if u not in left}
    y = b.messages
    if not uids:
        x, y = dict(enumerate(x.values(), 1)), dict(enumerate(y.values(), 1))
    for u in sorted(set(x) - set(y)):
        out.append('%s: UID %d is missing (%r)' % (say, u, x[u]))
    for u in sorted(set(y) - set(x)):
        out.append('%s: UID %d is new (%r)' % (say, u, y[u]))
    for u in sorted(set(x) & set(y)):
        if x[u] != y[u]:
            out.append('%s: UID %d: %r became %r' % (say, u, x[u], y[u]))
        elif y[u].said != y[u].size and y[u].size and x[u].said == x[u].size:
            out.append('%s: UID %d: RFC822.SIZE %d, but %d bytes' % (say, u, y[u].said, y[u].size))
    return out


def compare(a, b, left={}, extra=frozenset(), uids=True):
    """Differences of account `b` from `a`. `extra` names that may be there in addition; `left` maps a name to
    the UIDs left behind."""
    out = []
    if a.separator != b.separator:
        out.append('separator %s became %s' % (a.separator, b.separator))
    for n in sorted(set(a.names) - set(b.names)):
        out.append('%r is not listed any more' % n)
    for n in sorted(set(b.names) - set(a.names) - set(extra)):
        out.append('%r is listed in addition' % n)
    hard = {b'\\noselect', b'\\nonexistent', b'\\noinferiors'}
    for n in sorted(set(a.names) & set(b.names)):
        x, y = a.names[n] & hard, b.names[n] & hard
        if bool(x & {b'\\noselect', b'\\nonexistent'}) != bool(y & {b'\\noselect', b'\\nonexistent'}):
            out.append('%r: attributes %s became %s' % (n, sorted(a.names[n]), sorted(b.names[n])))
    for n in sorted(a.subscribed - b.subscribed):
        out.append('%r is not subscribed any more' % n)
    for n in sorted(b.subscribed - a.subscribed - set(extra)):
        out.append('%r is subscribed in addition' % n)
    for n in sorted(set(a.mailboxes) & set(b.mailboxes)):
        out += compare_mailbox(n, a.mailboxes[n], b.mailboxes[n], left.get(n, ()), uids)
    return out


def must_equal(differences, what):
    if differences:
        text = '\n  '.join(differences[:40])
        more = '\n  ... and %d more' % (len(differences) - 40) if len(differences) > 40 else ''
        raise AssertionError('%s: %d differences\n  %s%s' % (what, len(differences), text, more))
