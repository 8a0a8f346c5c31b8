"""Mail to fill a host with: messages from a seeded generator, and the tree that every pair of hosts must carry.

`Odd` lists what real mailboxes hold and tidy ones do not. What a host cannot take at all (its `refuses`) is
left out for it; everything else must be there, so that a test never passes by an accident of the filling.
"""

import random
import re
import time

from . import imap

WORDS = ('boat quay rope tide anchor harbour letter parcel river bridge lantern chart wind sail keel deck '
         'north south cargo rain signal watch morning evening market window table garden').split()


def message(seed, size=0, subject=None):
    """A plausible message of about `size` bytes (0: a few hundred to some thousand), CRLF throughout."""
    r = random.Random('message %s' % seed)
    size = size or r.choice((300, 800, 2000, 5000, 12000))
    subject = subject or ' '.join(r.choices(WORDS, k=4))
    head = ('Return-Path: <%s@example.org>\r\nFrom: %s <%s@example.org>\r\nTo: Someone <someone@example.net>\r\n'
            'Subject: %s\r\nDate: Tue, %d Mar 2021 %02d:%02d:%02d +0100\r\nMessage-ID: <%s.%08x@example.org>\r\n'
            'MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n') % (
        r.choice(WORDS), r.choice(WORDS).title(), r.choice(WORDS), subject, r.randint(1, 28), r.randint(0, 23),
        r.randint(0, 59), r.randint(0, 59), seed, r.getrandbits(32))
    if size > 100000:
        line = (' '.join(r.choices(WORDS, k=11)))[:70] + '\r\n'
        body = line * ((size - len(head)) // len(line) + 1)
        return (head + body).encode()
    out, have = [head], len(head)
    while have < size:
        line = ' '.join(r.choices(WORDS, k=r.randint(1, 11))) + '\r\n'
        out.append(line)
        have += len(line)
    return ''.join(out).encode()


# Messages out of the ordinary: (kind, bytes). A host with the kind in `refuses` does not take it by APPEND.
def odd_messages(seed):
    head = b'From: a@example.org\r\nMessage-ID: <odd-%s-%%s@example.org>\r\n' % str(seed).encode()
    return [
        ('8bit', head % b'utf8' + 'Subject: Grüße aus Köln\r\n\r\nÄpfel\r\n'.encode()),
        ('8bit', head % b'latin1' + 'Subject: Grüße aus Köln\r\n\r\nÄpfel\r\n'.encode('latin-1')),
        ('ok', b'\r\nno header at all, only a body\r\n'),
        ('headerless', b'neither header nor empty line'),
        ('ok', head % b'nofinal' + b'Subject: no final newline\r\n\r\nends here'),
        ('ok', head % b'headonly' + b'Subject: a header and nothing else\r\n\r\n'),
        ('ok', head % b'long' + b'Subject: a long line\r\n\r\n' + b'x' * 70000 + b'\r\n'),
        ('ok', head % b'dots' + b'Subject: dots\r\n\r\n.\r\n..\r\n.leading\r\n\r\n\r\n'),
        ('ok', head % b'looks' + b'Subject: {5}\r\n\r\n* 1 FETCH (UID 1)\r\na1 OK done\r\n{3}\r\n)\r\n"\\\r\n'),
        ('ok', head % b'twice' + b'Subject: the same twice\r\n\r\nsame\r\n'),
        ('ok', head % b'twice' + b'Subject: the same twice\r\n\r\nsame\r\n'),
        ('ok', b'Subject: no Message-ID\r\n\r\nnothing to know it by\r\n'),
        ('ok', b'Subject: no Message-ID\r\n\r\nnothing to know it by\r\n'),
        ('ok', head % b'fold' + b'Subject: folded\r\n\tand folded\r\n  again\r\nX-Empty:\r\n\r\nbody\r\n'),
    ]


FLAGS = [b'', b'\\Seen', b'\\Seen \\Answered', b'\\Flagged', b'\\Seen \\Draft', b'\\Deleted \\Seen',
         b'$Forwarded \\Seen', b'NonJunk', b'$label1 $label2 \\Flagged', b'\\Seen MixedCase']
DATES = [b'01-Jan-1999 00:00:00 +1400', b'05-Feb-2004 23:59:59 -1130', b'29-Feb-2020 12:00:01 +0545',
         b'31-Dec-2010 23:59:59 +0000', b'09-Aug-2015 03:04:05 -0930', b' 1-Mar-2001 01:01:01 +0100']

# Folders beside INBOX, by levels: (kind, levels, messages, subscribed). A kind in `refuses` leaves it out.
FOLDERS = [
    ('ok', ('Many',), 230, True),
    ('ok', ('Empty',), 0, True),
    ('ok', ('Empty', 'Below'), 3, False),
    ('ok', ('Deep', 'er', 'est'), 4, True),
    ('ok', ('R&D',), 5, True),
    ('ok', ('with space',), 3, True),
    ('ok', ('Entwürfe und Ähnliches',), 3, True),
    ('ok', ('日本語', '受信'), 2, False),
    ('emoji', ('post \U0001f4ee',), 2, True),
    ('quote', ('a "quoted" name',), 2, True),
    ('backslash', ('back\\slash',), 2, True),
    ('tilde', ('~tilde',), 1, True),
    ('ok', ('(paren) [bracket]',), 1, True),
    ('brace', ('{5}',), 1, False),
    ('ok', ('NIL',), 1, True),
    ('ok', ('Work',), 2, True),
    ('ok', ('work',), 2, True),
    ('ok', ('-dash',), 1, True),
    ("ok", ("it's",), 1, True),
    ('ok', ('st*r',), 1, True),
    ('percent', ('100%',), 1, True),
    ('other', ('v1{other}2',), 2, True),
    ('other', ('ends with {other}',), 1, True),
]


class Filler:
    """Fills one account of `server`. Everything is derived from the seed."""

    def __init__(self, server, user, password='pw', seed=1):
        self.server, self.user, self.seed = server, user, seed
        self.c = server.connect(user, password)
        self.caps = self.c.capability()
        self.plus = bool({b'LITERAL+', b'LITERAL-'} & self.caps)
        self.r = random.Random('fill %s' % seed)
        self.n = 0
        self.created = []

    def close(self):
        self.c.logout()

    def append(self, name, body, flags=b'', date=None):
        r = self.c.append(name, body, flags, date, self.plus)
        if not r.ok:
            raise imap.Failure('%s: APPEND to %r: %r' % (self.server.name, name, r.text))

    def create(self, *levels, subscribe=True):
        name = self.server.view(*levels)
        r = self.c.cmd(b'CREATE ' + imap.quote(name))
        if not r.ok and b'exist' not in r.text.lower():
            raise imap.Failure('%s: CREATE %r: %r' % (self.server.name, name, r.text))
        if subscribe:
            self.c.ok(b'SUBSCRIBE ' + imap.quote(name))
        self.created.append(name)
        return name

    def messages(self, name, count, flags=FLAGS, size=0):
        """Append `count` messages with flags and dates in turn."""
        for _ in range(count):
            self.n += 1
            self.append(name, message('%s-%d' % (self.seed, self.n), size), flags[self.n % len(flags)],
                        DATES[self.n % len(DATES)])

    def gaps(self, name, share=0.25):
        """Expunge some messages, the first and the last among them, but keep those with \\Deleted."""
        exists = int(self.c.select(name).lines(b'EXISTS')[0][0])
        gone = {1, exists} | {n for n in range(1, exists + 1) if self.r.random() < share}
        marked = [v for row in self.c.ok(b'UID SEARCH DELETED').lines(b'SEARCH') for v in row]
        if marked:
            self.c.ok(b'UID STORE ' + b','.join(marked) + b' -FLAGS.SILENT (\\Deleted)')
        self.c.ok('STORE %s +FLAGS.SILENT (\\Deleted)' % ','.join(map(str, sorted(gone))))
        self.c.ok(b'EXPUNGE')
        if marked:  # those that are gone meanwhile are passed over in silence
            self.c.ok(b'UID STORE ' + b','.join(marked) + b' +FLAGS.SILENT (\\Deleted)')

    def odd(self, other=b'/', big=20 << 20):
        """The whole odd tree: INBOX, FOLDERS, odd messages, one of 20 MB. `other` is the separator of the host
        that it will be carried to. Returns the names that were created."""
        refuses = self.server.refuses
        self.messages(b'INBOX', 40)
        for kind, body in odd_messages(self.seed):
            if kind not in refuses:
                self.append(b'INBOX', body, b'\\Seen')
        if big:
            self.append(b'INBOX', message('%s-big' % self.seed, big), b'\\Flagged', DATES[2])
        self.messages(b'INBOX', 15)
        self.gaps(b'INBOX')
        for kind, levels, count, subscribe in FOLDERS:
            if kind in refuses:
                continue
            if kind == 'other':
                if other == self.server.sep or ({b'/': 'slash'}.get(other) in refuses):
                    continue
                levels = tuple(x.replace('{other}', other.decode()) for x in levels)
            name = self.create(*levels, subscribe=subscribe)
            self.messages(name, count)
            if count > 3:
                self.gaps(name)
        return self.created


def into_maildir(folder, body, owner, number, flags='S'):
    """Put a file into a Maildir as a delivery would, for what APPEND refuses."""
    import os
    name = '%d.M%06dP1.wharf,S=%d:2,%s' % (time.time(), number, len(body), flags)
    path = os.path.join(folder, 'cur', name)
    with open(path, 'wb') as f:
        f.write(body)
    os.chown(path, owner, owner)
    return path
