"""Holds a dialogue (dialogue.py) with both sides of a twin (twin.py) and stops at the first difference.

Two sessions, mostly on one mailbox, are served in turn; a command is over on both sides before the next begins, so that the
order in which a host sees them is the same. When a session hears of what the other one did is free (Dovecot may tell a new
message at FETCH or one command later), so each step begins with a NOOP, whose news count as a whole; what the step itself is
answered must be equal line by line.
"""

import collections
import random
import re

from . import dialogue, imap, twin
from .twin import DIRECT, MOVED

SELECTED = (('fetch', 26), ('store', 14), ('mark_deleted', 4), ('expunge', 3), ('search', 16), ('sort', 5), ('thread', 2), ('carry', 6),
            ('saved', 3), ('pipeline', 3), ('idle', 1), ('leave', 1))
ALWAYS = (('noop', 6), ('select', 3), ('append', 8), ('status', 4), ('listing', 3), ('subscribe', 1), ('about', 1), ('broken', 5),
          ('create', 2), ('delete', 1), ('rename', 1), ('reconnect', 0.5))


class Session:
    def __init__(self, conns, state):
        self.conns, self.state = conns, state


class Differ:
    """sides: twin.Side of the direct and of the moved account. boxes: {levels: twin.Box}, which stay until the end."""

    def __init__(self, sides, boxes, tops, seed, tidy=False):
        self.sides = sides
        self.r = random.Random(seed)
        self.fixed = frozenset(boxes)
        self.tree = dict(boxes)
        self.tops = dict(tops)
        self.log = collections.deque(maxlen=12)
        self.counts = collections.Counter()
        self.made = 0
        twin.OURS.update(twin.encoded(levels)[0] for levels in boxes if levels)
        twin.OURS.update((b'd-made',))
        self.sessions = [self.open(), self.open()]
        both = self.sides[DIRECT].caps & self.sides[MOVED].caps
        self.talk = dialogue.Talk(self.r, self.tree, self.tops, both, self.fixed, tidy)

    # ---- connections

    def open(self):
        conns = [side.connect() for side in self.sides]
        for side, c in zip(self.sides, conns):
            side.caps = c.capability()
        return Session(conns, dialogue.State())

    def reconnect(self, s):
        for c in s.conns:
            c.logout()
        fresh = self.open()
        s.conns, s.state = fresh.conns, fresh.state
        wanted = [x for x in (b'CONDSTORE', b'QRESYNC') if x in self.talk.caps and self.r.random() < 0.6]
        if wanted and b'ENABLE' in self.talk.caps:
            self.both(s, [b'ENABLE ' + b' '.join(wanted)])
            s.state.enabled |= set(wanted)

    def close(self):
        for s in self.sessions:
            for c in s.conns:
                c.close()

    # ---- one command

    def trees(self):
        return {twin.encoded(levels): box for levels, box in self.tree.items()}

    def both(self, s, pieces, dest=None):
        """The command on both sides; the replies [direct, moved] if they are equal."""
        replies = []
        for side, c in zip(self.sides, s.conns):
            raw = dialogue.render(pieces, side, s.state.box, self.tree)
            self.log.append((side.which, raw))
            replies.append(c.finish(c.start(raw)))
            self.log[-1] += (replies[-1],)
        self.settle(s, pieces, replies, dest)
        return replies

    def shared_caps(self):
        return self.sides[DIRECT].caps & self.sides[MOVED].caps

    def settle(self, s, pieces, replies, dest):
        head = pieces[0].upper() if isinstance(pieces[0], bytes) else b''
        word = head.split(b' ')[0]
        selecting = word in (b'SELECT', b'EXAMINE')
        if selecting:
            self.left(s)
            if replies[DIRECT].ok:
                s.state.levels = next(p for p in pieces if isinstance(p, dialogue.Name)).levels
                s.state.box = self.tree[s.state.levels]
        if dest is None and word in (b'APPEND', b'COPY', b'MOVE', b'UID'):
            dest = next((p.levels for p in pieces if isinstance(p, dialogue.Name)), None)
        # Cyrus says NO to a set of UIDs that has no message; RFC 3501 6.4.8 has that pass without an error, and so does wherryd.
        nothing = word == b'UID' and b'there was no such message' in replies[MOVED].text
        if nothing and replies[DIRECT].status == b'NO':
            replies[DIRECT].status, replies[DIRECT].text = b'OK', b''
        forms = []
        for side, reply in zip(self.sides, replies):
            reader = self.reader(side, s, dest, word == b'UID')
            forms.append(self.form(reply, reader))
            if nothing:  # what changed meanwhile is told with the UID or without it
                for line in forms[-1][2]:
                    if line[0] == 'FETCH':
                        line[2].pop(b'UID', None)
        wrong = self.wrong(forms, s.state.box)
        if wrong:
            raise twin.Different(self.report(wrong))
        self.learn(s, forms[DIRECT], dest)
        if word in (b'CLOSE', b'UNSELECT') and replies[DIRECT].ok:
            self.left(s)

    def left(self, s):
        s.state.levels = s.state.box = None
        s.state.exists = 0

    def reader(self, side, s, dest=None, uids=False):
        return twin.Reader(side, self.trees(), s.state.box, self.tree.get(dest), uids, self.shared_caps())

    def form(self, reply, reader):
        """(status, code, lines) in the shared form. Why a command failed is said in free words."""
        lines = [x for x in map(reader.line, reply.untagged) if x is not None]
        listed = sorted((x for x in lines if x[0] in ('LIST', 'LSUB', 'STATUS')), key=lambda x: repr(x[:2]))
        coded = sorted((x for x in lines if x[0] == b'OK'), key=lambda x: repr(x[1][0]))
        lines = listed + coded + [x for x in lines if x not in listed and x not in coded]
        return (reply.status, reader.code(reply.text) if reply.ok else None, lines)

    def wrong(self, forms, box):
        return twin.compare(forms[DIRECT], forms[MOVED], box, 'reply')

    def report(self, wrong):
        out = [wrong]
        for which, raw, *reply in self.log:
            out.append('%s %.400r' % ('direct ' if which == DIRECT else 'wherryd', raw))
            out.append('    %.1500s' % repr(reply))
        return '\n'.join(out)

    def learn(self, s, form, dest):
        """What the next commands need to know."""
        self.count(s, form[2])
        for line in form[2]:
            code = line[1] if line[0] == b'OK' else None
            if code and code[0] == b'COPYUID':
                self.raise_top(dest, code[3])
            if code and code[0] == b'UIDNEXT' and s.state.levels is not None:
                self.raise_top(s.state.levels, [code[1] - 1])
        code = form[1]
        if code and code[0] in (b'APPENDUID', b'COPYUID'):
            self.raise_top(dest, code[-1])

    def count(self, s, lines):
        for line in lines:
            if line[0] == b'EXISTS':
                s.state.exists = int(line[1])
            elif line[0] == b'EXPUNGE':
                s.state.exists -= 1
            elif line[0] == 'VANISHED' and not line[1]:
                s.state.exists -= len(line[2])

    def raise_top(self, levels, uids):
        self.tops[levels] = max([self.tops.get(levels, 1)] + [u for u in uids if isinstance(u, int)])

    def news(self, s):
        forms = []
        for side, c in zip(self.sides, s.conns):
            reply = c.cmd(b'NOOP')
            self.log.append((side.which, b'NOOP', reply))
            lines = self.form(reply, self.reader(side, s))[2]
            last = [x for x in lines if x[0] == b'EXISTS'][-1:]
            gone = [x for x in lines if x[0] in (b'EXPUNGE', 'VANISHED')]
            flags = self.merged([x for x in lines if x[0] == 'FETCH'])
            forms.append((reply.status, last, gone, {} if gone else flags))
            if side.which == DIRECT:
                self.count(s, lines)
        wrong = self.wrong(forms, s.state.box)
        if wrong:
            raise twin.Different(self.report('news: ' + wrong))

    def broken(self, s):
        """What is no IMAP is refused; some hosts take it all the same, and do nothing, and Cyrus says NO to number 0."""
        pieces = self.talk.broken(s.state)
        for side, c in zip(self.sides, s.conns):
            raw = dialogue.render(pieces, side, s.state.box, self.tree)
            self.log.append((side.which, raw, c.cmd(raw)))
        replies = [entry[2] for entry in list(self.log)[-2:]]
        if replies[MOVED].ok or replies[MOVED].status == b'NO' != replies[DIRECT].status:
            raise twin.Different(self.report('malformed: %r and %r' % tuple(r.status for r in replies)))

    # ---- what is more than one command

    def pipeline(self, s):
        """Several at once. Hosts tell flags at the end of one command or another, so all lines are one set; they may also
        answer in another order."""
        draw = (self.talk.fetch, self.talk.store, self.talk.noop, self.talk.status)
        some = [self.r.choice(draw)(s.state) for _ in range(self.r.randint(2, 8))]
        forms, nothing = [], set()
        for side, c in zip(self.sides, s.conns):
            tags = [c.tag() for _ in some]
            data = b''.join(tag + b' ' + self.flat(dialogue.render(x, side, s.state.box, self.tree)) + b'\r\n'
                            for tag, x in zip(tags, some))
            c.send(data)
            tagged, lines = self.gather(c, set(tags))
            self.log.append((side.which, data, (tagged, lines)))
            read = [self.reader(side, s, uids=x[0].startswith(b'UID')) for x in some]
            shown = [x for x in map(read[0].line, lines) if x is not None]
            for t in tags:
                if side.which == MOVED and tagged[t][0] == b'OK' and b'there was no such message' in tagged[t][1]:
                    nothing.add(tags.index(t))
            codes = [(tagged[t][0], f.code(tagged[t][1]) if tagged[t][0] == b'OK' else None) for t, f in zip(tags, read)]
            rest = sorted({repr(x) for x in shown if x[0] not in ('FETCH', 'STATUS') and 'mod-sequence' not in repr(x)})
            forms.append((codes, self.merged(shown), rest))
            if side.which == DIRECT:
                self.count(s, shown)
        for codes, _, _ in forms:
            for i in nothing:  # see settle()
                codes[i] = None
        wrong = self.wrong(forms, s.state.box)
        if wrong:
            raise twin.Different(self.report('pipelined: ' + wrong))

    def flat(self, raw):
        """Without waiting: a literal that fits may come at once."""
        return b''.join(b'{%d+}\r\n' % len(p) + p if isinstance(p, bytearray) else p for p in raw)

    def gather(self, c, tags):
        """Read until each tag was answered: {tag: (status, text)}, lines."""
        tagged, lines = {}, []
        while len(tagged) < len(tags):
            line = c.line()
            m = re.match(rb'(\S+) (OK|NO|BAD) ?(.*)', line.text, re.S | re.I)
            if m and m.group(1) in tags:
                tagged[m.group(1)] = (m.group(2).upper(), m.group(3))
            else:
                lines.append(line)
        return tagged, lines

    def merged(self, lines):
        """{number or name: the last word on each item}."""
        out = {}
        for line in lines:
            if line[0] in ('FETCH', 'STATUS'):
                out.setdefault(line[1], {}).update((k, v) for k, v in line[2].items() if k != b'MODSEQ')
        return {repr(k): v for k, v in out.items()}

    def idle(self, s):
        """What another session does is told meanwhile."""
        if b'IDLE' not in self.talk.caps or s.state.levels is None:
            return
        other = self.sessions[1 - self.sessions.index(s)]
        tags = []
        for c in s.conns:
            tags.append(c.tag())
            c.send(tags[-1] + b' IDLE\r\n')
            m, before = c.expect(rb'\+')
            c.unread += before
        name = dialogue.Name(s.state.levels)
        self.both(other, [b'APPEND ', name, b' (\\Flagged) "01-Jan-2020 00:00:00 +0000" ', dialogue.Literal(self.talk.message(), True)], s.state.levels)
        replies = []
        for c, tag in zip(s.conns, tags):
            self.log.append((s.conns.index(c), b'IDLE'))
            while not any(re.match(rb'\* \d+ EXISTS', x.text) for x in c.unread):
                c.unread.append(c.line())
            c.send(b'DONE\r\n')
            replies.append(c.finish(tag))
            self.log[-1] += (replies[-1],)
        self.settle(s, [b'IDLE'], replies, None)

    # ---- structure

    def free(self, levels):
        """Nobody has it, or a mailbox below it, selected."""
        return not any(s.state.levels and s.state.levels[:len(levels)] == levels for s in self.sessions)

    def create(self, s):
        if len(self.tree) - len(self.fixed) > 12:
            return self.delete(s)
        self.made += 1
        above = self.r.choice([()] + sorted(x for x in self.tree if x and len(x) < 3))
        levels = above + ('d-made',) if not above else above + (self.r.choice(('m%d', 'räum %d')) % self.made,)
        if levels[0] != 'd-made' and not above:
            return None
        r = self.both(s, [b'CREATE ', self.talk.name(levels)])
        if r[DIRECT].ok and levels not in self.tree:
            self.tree[levels] = twin.Box()
            self.tops[levels] = 1
        return r

    def loose(self):
        return sorted(x for x in self.tree if x not in self.fixed and self.free(x) and not any(
            y[:len(x)] == x and y in self.fixed for y in self.tree))

    def delete(self, s):
        some = [x for x in self.loose() if not any(y != x and y[:len(x)] == x for y in self.tree)]
        if not some:
            return
        levels = self.r.choice(some)
        r = self.both(s, [b'DELETE ', self.talk.name(levels)])
        if r[DIRECT].ok:
            del self.tree[levels]
            self.tops.pop(levels, None)

    def rename(self, s):
        some = self.loose()
        if not some:
            return
        self.made += 1
        was = self.r.choice(some)
        now = was[:-1] + ('n%d' % self.made,) if len(was) > 1 else ('d-made', 'n%d' % self.made)
        if now[:len(was)] == was:
            return
        r = self.both(s, [b'RENAME ', self.talk.name(was), b' ', self.talk.name(now)])
        if not r[DIRECT].ok:
            return
        for levels in [x for x in self.tree if x[:len(was)] == was]:
            for d in (self.tree, self.tops):
                if levels in d:
                    d[now + levels[len(was):]] = d.pop(levels)

    # ---- the dialogue

    def step(self, n):
        s = self.sessions[n % 2 if self.r.random() < 0.8 else 1 - n % 2]
        if s.state.levels is None and self.r.random() < 0.7:
            kind = 'select'
        else:
            kinds = ALWAYS + (SELECTED if s.state.levels is not None else ())
            kind = self.r.choices([k for k, _ in kinds], [w for _, w in kinds])[0]
        self.counts[kind] += 1
        if s.state.levels is not None:
            self.news(s)
        own = getattr(self, kind, None)
        if own:
            own(s)
        else:
            self.both(s, getattr(self.talk, kind)(s.state))

    def run(self, length):
        for n in range(length):
            try:
                self.step(n)
            except twin.Different as e:
                raise twin.Different('step %d of the dialogue: %s' % (n, e)) from None
            except (imap.Failure, EOFError, OSError) as e:
                raise twin.Different('step %d of the dialogue: %r\n%s' % (n, e, self.report(''))) from None
