"""A random IMAP dialogue: commands that both sides of a twin (see twin.py) can be asked in their own numbers and names.

A command is a list of pieces: bytes as they are, and what each side writes in its own way: UIDs, names, UIDVALIDITY,
mod-sequences. Everything is drawn from one seeded generator; what it needs to know of the mailboxes (how many messages,
which flags were made) comes from the replies of the direct side.
"""

from . import imap, mail

KEYWORDS = (b'$Forwarded', b'NonJunk', b'$label1', b'$label2', b'MixedCase', b'fresh')
SYSTEM = (b'\\Seen', b'\\Answered', b'\\Flagged', b'\\Draft')
FETCHES = (b'FLAGS', b'UID', b'(UID FLAGS)', b'(FLAGS INTERNALDATE RFC822.SIZE)', b'ENVELOPE', b'BODYSTRUCTURE', b'BODY', b'ALL', b'FAST',
           b'FULL', b'RFC822', b'RFC822.HEADER', b'RFC822.TEXT', b'BODY[]', b'(BODY.PEEK[] UID)', b'BODY.PEEK[HEADER]',
           b'BODY[TEXT]', b'BODY.PEEK[1]', b'BODY.PEEK[1.MIME]', b'BODY.PEEK[2]', b'(UID BODY.PEEK[HEADER.FIELDS (SUBJECT "Message-ID")])',
           b'BODY.PEEK[HEADER.FIELDS.NOT (DATE TO)]', b'BODY.PEEK[]<5.40>', b'BODY[TEXT]<100.20>', b'(BODY.PEEK[TEXT]<0.10> FLAGS)',
           b'(uid flags)', b'BODY.PEEK[]<999999.5>')
KEYS = (b'ALL', b'SEEN', b'UNSEEN', b'ANSWERED', b'UNANSWERED', b'FLAGGED', b'UNFLAGGED', b'DELETED', b'UNDELETED', b'DRAFT', b'UNDRAFT',
        b'KEYWORD NonJunk', b'UNKEYWORD $label1', b'KEYWORD NoSuch', b'LARGER 1000', b'SMALLER 2500', b'BEFORE 1-Jan-2012',
        b'SINCE 5-Feb-2004', b'ON 29-Feb-2020', b'SENTSINCE 10-Mar-2021', b'SENTBEFORE 20-Mar-2021', b'SUBJECT "anchor"',
        b'FROM "boat"', b'TO "someone"', b'CC "nobody"', b'BODY "lantern"', b'TEXT "window"', b'HEADER Message-ID ""',
        b'HEADER "Subject" "river"', b'SUBJECT {4+}\r\ntide',
        b'subject river', b'FROM NIL', b'HEADER subject nil', b'TEXT "\\"quay\\\\"', b'BODY ""')
BROKEN = (b'', b' ', b'FETCH', b'FETCH 1', b'FETCH 0 FLAGS', b'FETCH x FLAGS', b'FETCH 1 NOSUCH', b'FETCH 1 (FLAGS', b'FETCH 1: FLAGS',
          b'UID', b'UID FETCH', b'UID FETCH 0 FLAGS', b'UID FETCH 4294967296 FLAGS', b'UID NOSUCH 1', b'STORE 1 FLAGS (\\Recent',
          b'STORE 1 NOSUCH (\\Seen)', b'STORE 1', b'SEARCH', b'SEARCH NOSUCH', b'SEARCH UID', b'SEARCH OR SEEN', b'SEARCH (SEEN',
          b'SEARCH NOT', b'SEARCH KEYWORD', b'UID SEARCH UID 0', b'COPY 1', b'COPY 1:2', b'STATUS INBOX',
          b'STATUS INBOX (NOSUCH)', b'STATUS INBOX ()', b'APPEND', b'LIST', b'LIST ""', b'CREATE', b'RENAME one', b'NOSUCH',
          b'NOOP and more', b'UID EXPUNGE', b'UID EXPUNGE x', b'LOGIN a', b'FETCH 1  FLAGS', b'SORT (NOSUCH) UTF-8 ALL',
          b'SEARCH CHARSET NO-SUCH-CHARSET SUBJECT x', b'SUBSCRIBE')


# ---- pieces that each side writes in its own way


class Uids:
    """A set of UIDs in the shared form, of the selected mailbox or a named one; an end that is None is written as *."""

    def __init__(self, ranges, levels=None):
        self.ranges, self.levels = ranges, levels

    def put(self, side, box, tree):
        box = box if self.levels is None else tree[self.levels]

        def one(n):
            return '*' if n is None else str(box.own(side.which, n))
        return ','.join(one(a) if a == b else one(a) + ':' + one(b) for a, b in self.ranges).encode()


    def tidied(self):
        out = []
        for a, b in sorted((min(a or b or 1, b or a or 1), max(a or b or 1, b or a or 1)) for a, b in self.ranges):
            if not out or a > out[-1][1] + 1:
                out.append((a, b))
        return Uids(out)


class Name:
    def __init__(self, levels, how='quoted'):
        self.levels, self.how = levels, how

    def put(self, side, box, tree):
        name = side.name(self.levels)
        if self.how == 'literal':
            return bytearray(name)
        if self.how == 'literal-':
            return b'{%d+}\r\n' % len(name) + name
        if self.how == 'atom' and not set(b' (){%*"\\]') & set(name) and name:
            return name
        return imap.quote(name)


class Pattern:
    """A pattern of LIST below the prefix of the namespace."""

    def __init__(self, levels):
        self.levels = levels

    def put(self, side, box, tree):
        return imap.quote(side.prefix + side.sep.join(self.levels))


class Validity:
    def __init__(self, levels):
        self.levels = levels

    def put(self, side, box, tree):
        return tree[self.levels].validity[side.which]


class Modseq:
    """One that both sides have shown, by its number; the first is that of the beginning, and for SEARCH, where the value itself
    counts, the one after it."""

    def __init__(self, number, levels=None, after=0):
        self.number, self.levels, self.after = number, levels, after

    def put(self, side, box, tree):
        box = box if self.levels is None else tree[self.levels]
        known = [[n + self.after for n in box.high]] + box.pairs
        return b'%d' % max(1, known[self.number % len(known)][side.which])


class Literal:
    """A message: a synchronising literal, or one without waiting (up to 4096 bytes, RFC 7888)."""

    def __init__(self, body, plus, binary=False):
        self.body, self.plus, self.binary = body, plus and len(body) <= 4096, binary and len(body) <= 4096

    def put(self, side, box, tree):
        if self.plus or self.binary:
            return (b'~' if self.binary else b'') + b'{%d+}\r\n' % len(self.body) + self.body
        return bytearray(self.body)


def render(pieces, side, box, tree):
    """What imap.Conn.start takes: bytes in one piece between synchronising literals."""
    out = []
    for p in pieces:
        p = p.put(side, box, tree) if hasattr(p, 'put') else p
        if isinstance(p, bytearray) or not out or isinstance(out[-1], bytearray):
            out.append(p)
        else:
            out[-1] = out[-1] + p
    return out


class State:
    """What the generator knows of one session."""

    def __init__(self):
        self.levels = self.box = None  # the selected mailbox
        self.read_only = False
        self.exists = 0
        self.enabled = set()


class Talk:
    """Draws commands. `tree` is {levels: Box}, levels as text here; caps are what both sides offer; fixed mailboxes stay. tidy: no
    search for UIDs out of order or with *, which Cyrus answers in part (2,24:*,1 without the last message)."""

    def __init__(self, r, tree, tops, caps, fixed, tidy):
        self.r, self.tree, self.tops, self.caps, self.fixed, self.tidy = r, tree, tops, caps, fixed, tidy
        self.made = 0

    # ---- arguments

    def seqs(self, s):
        top, stars = max(1, s.exists), [self.r.random() < 0.2]

        def one():  # Dovecot 2.3.19 dies of 16:29,34:*,*:18, so at most one star
            if stars and stars.pop():
                return b'*'
            return b'%d' % self.r.randint(1, top)
        parts = []
        for _ in range(self.r.choice((1, 1, 1, 2, 4))):
            parts.append(one() if self.r.random() < 0.5 else one() + b':' + one())
        return b','.join(parts)

    def uids(self, s, wide=True):
        top = self.tops.get(s.levels, 1) + 3
        r, out = self.r, []

        stars = [r.random() < 0.2]

        def one():
            if stars and stars.pop():
                return None
            return r.choice((r.randint(1, top), r.randint(1, top), 1, top * 2))
        for _ in range(r.choice((1, 1, 2, 3, 6))):
            a = one()
            out.append((a, a if r.random() < 0.5 or not wide else one()))
        return Uids(out)

    def name(self, levels=None):
        r = self.r
        how = r.choice(('quoted', 'quoted', 'atom', 'literal', 'literal-'))
        if levels is None:
            levels = r.choice(sorted(self.tree)) if r.random() < 0.93 else ('no such',)
        return Name(levels, how)

    def flags(self, n=None):
        pool = SYSTEM + KEYWORDS
        return b'(' + b' '.join(self.r.sample(pool, self.r.randint(0, 3) if n is None else n)) + b')'

    def key(self, s, depth=0):
        """One search key as a list of pieces."""
        r = self.r
        pick = r.randint(0, 11 if depth < 3 else 7)
        if pick < 3:
            found = self.uids(s)
            return [b'UID ', found.tidied() if self.tidy else found]
        if pick == 3:
            return [self.seqs(s)]
        if pick == 4 and b'WITHIN' in self.caps:
            return [r.choice((b'YOUNGER 86400', b'OLDER 3600'))]
        if pick == 4 and b'SEARCHRES' in self.caps:
            return [r.choice((b'$', b'UID $'))]
        if pick == 5 and b'CONDSTORE' in self.caps:
            return [b'MODSEQ ', Modseq(r.randint(0, 400), after=1)]
        if pick == 6 and r.random() < 0.3:
            return [b'SUBJECT ', bytearray(r.choice((b'tide', b'", (', b'wind')))]
        if pick < 8:
            return [r.choice(KEYS)]
        if pick == 8:
            return [b'NOT '] + self.key(s, depth + 1)
        if pick < 11:
            return [b'OR '] + self.key(s, depth + 1) + [b' '] + self.key(s, depth + 1)
        return [b'('] + self.keys(s, depth + 1) + [b')']

    def keys(self, s, depth=0):
        out = []
        for n in range(self.r.randint(1, 3)):
            out += ([b' '] if n else []) + self.key(s, depth)
        return out

    def message(self):
        self.made += 1
        size = self.r.choice((0, 300, 900, 3000, 9000))
        return mail.message('diff-%d-%d' % (self.r.getrandbits(30), self.made), size)

    # ---- commands on the selected mailbox: each gives its pieces

    def fetch(self, s):
        items = list(FETCHES)
        if b'CONDSTORE' in self.caps:
            items += [b'MODSEQ', b'(UID FLAGS MODSEQ)'] * 2
        if b'BINARY' in self.caps:
            items += [b'BINARY.PEEK[1]', b'BINARY.SIZE[1]', b'(UID BINARY.PEEK[1]<3.20>)']
        if b'PREVIEW' in self.caps:
            items += [b'(UID PREVIEW)', b'(PREVIEW (LAZY) UID)']
        if b'SAVEDATE' in self.caps:
            items += [b'SAVEDATE']
        item = self.r.choice(items)
        uid = self.r.random() < 0.6
        out = [b'UID FETCH ', self.uids(s)] if uid else [b'FETCH ', self.seqs(s)]
        out += [b' ', item]
        if b'CONDSTORE' in self.caps and self.r.random() < 0.15:
            vanished = uid and b'QRESYNC' in s.enabled and self.r.random() < 0.5
            out += [b' (CHANGEDSINCE ', Modseq(self.r.randint(0, 400)), b' VANISHED)' if vanished else b')']
        return out

    def store(self, s):
        out = [b'UID STORE ', self.uids(s)] if self.r.random() < 0.6 else [b'STORE ', self.seqs(s)]
        if b'CONDSTORE' in self.caps and self.r.random() < 0.2:
            out += [b' (UNCHANGEDSINCE ', Modseq(self.r.randint(0, 400)), b')']
        what = self.r.choice((b'+FLAGS', b'-FLAGS', b'FLAGS', b'+FLAGS.SILENT', b'-FLAGS.SILENT', b'FLAGS.SILENT'))
        return out + [b' ', what, b' ', self.flags()]

    def mark_deleted(self, s):
        if self.r.random() < 0.5:
            return [b'UID STORE ', self.uids(s, wide=False), b' +FLAGS (\\Deleted)']
        return [b'STORE %d +FLAGS.SILENT (\\Deleted)' % self.r.randint(1, max(1, s.exists))]

    def expunge(self, s):
        if self.r.random() < 0.5:
            return [b'UID EXPUNGE ', self.uids(s)]
        return [b'EXPUNGE']

    def search(self, s):
        out = [self.r.choice((b'UID SEARCH ', b'SEARCH '))]
        if b'ESEARCH' in self.caps and self.r.random() < 0.4:
            choices = [b'', b'ALL', b'MIN', b'MAX', b'COUNT', b'MIN MAX', b'MIN MAX COUNT ALL']
            if b'SEARCHRES' in self.caps:
                choices += [b'SAVE', b'SAVE ALL', b'SAVE COUNT', b'SAVE MIN']
            out += [b'RETURN (' + self.r.choice(choices) + b') ']
        if self.r.random() < 0.15:
            out += [b'CHARSET UTF-8 ']
        return out + self.keys(s)

    def sort(self, s):
        if b'SORT' not in self.caps:
            return self.search(s)
        out = [self.r.choice((b'UID SORT ', b'SORT '))]
        if b'ESORT' in self.caps and self.r.random() < 0.3:
            # Of equal messages Cyrus takes one or the other as the first.
            out += [b'RETURN (' + self.r.choice((b'', b'COUNT', b'ALL COUNT' if self.tidy else b'MIN MAX', b'ALL COUNT')) + b') ']
        by = self.r.choice((b'ARRIVAL', b'REVERSE DATE', b'SUBJECT', b'SIZE', b'FROM REVERSE ARRIVAL', b'TO', b'CC SIZE'))
        return out + [b'(' + by + b') ', self.r.choice((b'UTF-8 ', b'US-ASCII '))] + self.keys(s)

    def thread(self, s):
        kinds = [x[7:] for x in sorted(self.caps) if x.startswith(b'THREAD=')]
        if not kinds:
            return self.search(s)
        return [self.r.choice((b'UID THREAD ', b'THREAD ')), self.r.choice(kinds), b' UTF-8 '] + self.keys(s)

    def carry(self, s):
        verb = b'MOVE' if b'MOVE' in self.caps and self.r.random() < 0.4 else b'COPY'
        if self.r.random() < 0.6:
            return [b'UID ', verb, b' ', self.uids(s, wide=self.r.random() < 0.3), b' ', self.name()]
        n = self.r.randint(1, max(1, s.exists))
        return [verb, b' %d:%d ' % (n, n + self.r.choice((0, 0, 1, 2))), self.name()]

    def saved(self, s):
        """SEARCHRES: $ in place of a set."""
        if b'SEARCHRES' not in self.caps:
            return self.search(s)
        return [self.r.choice((b'FETCH $ FLAGS', b'UID FETCH $ FLAGS', b'STORE $ +FLAGS (\\Flagged)', b'UID STORE $ -FLAGS (fresh)',
                               b'UID SEARCH $', b'SEARCH UID $ SEEN'))]

    # ---- commands at any time

    def noop(self, s):
        return [self.r.choice((b'NOOP', b'NOOP', b'CHECK'))] if s.levels is not None else [b'NOOP']

    def select(self, s):
        out = [b'EXAMINE ' if self.r.random() < 0.15 else b'SELECT ']
        levels = self.r.choice(sorted(self.fixed)) if self.r.random() < 0.9 else self.r.choice(sorted(self.tree))
        out.append(self.name(levels))
        known = self.tree.get(levels)
        if b'QRESYNC' in s.enabled and known and all(known.validity) and self.r.random() < 0.4:
            uids = [b' ', Uids([(1, self.tops.get(levels, 1))], levels)] if self.r.random() < 0.4 else []
            since = Modseq(self.r.randint(0, 400), levels)
            out += [b' (QRESYNC (', Validity(levels), b' ', since] + uids + [b'))']
        elif b'CONDSTORE' in self.caps and self.r.random() < 0.2:
            out += [b' (CONDSTORE)']
        return out

    def append(self, s):
        """APPEND, at times of several messages."""
        out = [b'APPEND ', self.name()]
        many = b'MULTIAPPEND' in self.caps and self.r.random() < 0.2
        for _ in range(self.r.randint(2, 4) if many else 1):
            if self.r.random() < 0.6:
                out += [b' ', self.flags()]
            # Without a date the two sides would have it from different seconds.
            out += [b' "' + self.r.choice(mail.DATES) + b'"']
            binary = b'BINARY' in self.caps and self.r.random() < 0.2
            out += [b' ', Literal(self.message(), self.r.random() < 0.6, binary)]
        return out

    def status(self, s):
        items = [b'MESSAGES', b'UIDNEXT', b'UIDVALIDITY', b'UNSEEN']
        items += [b'HIGHESTMODSEQ'] if b'CONDSTORE' in self.caps else []
        items += [b'SIZE'] if b'STATUS=SIZE' in self.caps else []
        some = self.r.sample(items, self.r.randint(1, len(items)))
        return [b'STATUS ', self.name(), b' (' + b' '.join(some) + b')']

    def listing(self, s):
        pattern = self.r.choice(((b'd*',), (b'd%',), (b'd-one', b'%'), (b'd-one', b'*'), (b'd*', b'%'), (b'%', b'sub'), (b'no such',)))
        verb = self.r.choice((b'LIST', b'LIST', b'LSUB'))
        if verb == b'LSUB' or b'LIST-EXTENDED' not in self.caps or self.r.random() < 0.5:
            return [verb, b' "" ', Pattern(pattern)]
        how = self.r.choice((b'(SUBSCRIBED) ', b'', b'(SUBSCRIBED RECURSIVEMATCH) '))
        back = [b' RETURN (CHILDREN)', b' RETURN (SUBSCRIBED CHILDREN)']
        back += [b' RETURN (STATUS (MESSAGES UIDNEXT UIDVALIDITY))'] if b'LIST-STATUS' in self.caps else []
        return [b'LIST ', how, b'"" ', Pattern(pattern), self.r.choice(back)]

    def subscribe(self, s):
        return [self.r.choice((b'SUBSCRIBE ', b'UNSUBSCRIBE ')), self.name(self.r.choice(sorted(self.tree)))]

    def about(self, s):
        """Quota and rights of a mailbox."""
        choices = [[b'STATUS ', self.name(), b' (MESSAGES)']]
        if b'QUOTA' in self.caps:
            choices.append([b'GETQUOTAROOT ', self.name()])
        if b'ACL' in self.caps:
            choices += [[b'GETACL ', self.name()], [b'MYRIGHTS ', self.name()]]
        if b'METADATA' in self.caps:
            choices.append([b'GETMETADATA ', self.name(), b' (/private/comment)'])
        return self.r.choice(choices)

    def broken(self, s):
        return [self.r.choice(BROKEN)]

    def leave(self, s):
        return [b'UNSELECT' if b'UNSELECT' in self.caps and self.r.random() < 0.7 else b'CLOSE']
