"""Clients that work in one mailbox all the time and believe every word: what the server tells them has to make sense, and what
they did has to be there in the end.

Each keeps the list of messages as the server told it, by number. EXPUNGE may come only where the protocol allows it, a
number means the same message until then, and no command may fail. Several may share a `Truth`; each works on UIDs of its
own, so that everybody knows what becomes of them.
"""

import collections
import hashlib
import random
import threading
import time

from . import imap, mail, snapshot

KEYWORDS = [b'\\Seen', b'\\Flagged', b'\\Answered', b'work', b'later']


class Truth:
    """What must be in the mailbox: UID -> (digest, flags). unsure: what a command that was never answered may have done."""

    def __init__(self, before):
        self.lock = threading.Lock()
        self.messages = {u: (m.digest, m.flags) for u, m in before.messages.items()}
        self.maybe_flags, self.maybe_gone, self.maybe_there = {}, set(), set()
        self.gone = set()

    def check(self, after):
        """The mailbox as it is in the end."""
        out = []
        there = {u: (m.digest, m.flags) for u, m in after.messages.items()}
        for uid, (digest, flags) in self.messages.items():
            if uid not in there:
                if uid not in self.maybe_gone:
                    out.append('UID %d is missing' % uid)
            elif there[uid][0] != digest:
                out.append('UID %d is another message' % uid)
            elif there[uid][1] != flags and there[uid][1] not in self.maybe_flags.get(uid, ()):
                out.append('UID %d has %s, not %s' % (uid, sorted(there[uid][1]), sorted(flags)))
        for uid in set(there) - set(self.messages):
            if there[uid][0] not in self.maybe_there:
                out.append('UID %d should not be there' % uid)
        digests = collections.Counter(d for d, _ in there.values())
        out += ['%s is there twice' % d[:12] for d, times in digests.items() if times > 1]
        assert not out, '\n'.join(out[:30])


class Wrong(AssertionError):
    """The server said what cannot be."""


class Busy:
    """A client in a thread of its own, until stop(). share: (k, n) when n clients share the truth and this is the k-th.
    lives: it connects again when its connection ends."""

    def __init__(self, d, user, truth, seed, share=(0, 1), numbers=True, idles=True, qresync=False, lives=False,
                 compress=False, appends=True, name=b'INBOX', together=None):
        self.d, self.user, self.truth, self.name = d, user, truth, name
        self.r = random.Random('busy %s' % seed)
        self.share, self.numbers, self.idles, self.qresync = share, numbers, idles, qresync
        self.lives, self.compress, self.together = lives, compress, together
        self.appends = appends
        self.made = self.commands = self.ends = 0
        self.slowest, self.seed = 0, seed
        self.error, self.ended = None, threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def stop(self):
        self.ended.set()
        self.thread.join(60)
        assert not self.thread.is_alive(), 'a client hangs'
        if self.error and not isinstance(self.error, threading.BrokenBarrierError):
            raise self.error

    # ---- what it was told

    def connect(self):
        self.c = self.d.connect(self.user)
        if self.compress:
            self.c.compress()
        if self.qresync:
            self.c.ok(b'ENABLE QRESYNC')
        r = self.c.select(self.name)
        self.list = [None] * int(r.lines(b'EXISTS')[-1][0])
        self.flags = {}
        self.validity = int(r.codes(b'UIDVALIDITY')[-1])
        there = len(self.list)
        self.tell(self.c.ok(b'FETCH 1:* (UID FLAGS)'), b'FETCH')
        if None in self.list[:there]:
            raise Wrong('not all messages were listed: %r' % self.list)

    def tell(self, reply, command, expunge=False):
        """Takes in all untagged data of a reply."""
        for line in reply.untagged:
            self.hear(line, command, expunge)
        if not reply.ok:
            raise Wrong('%r: %r' % (command, reply))
        return reply

    def hear(self, line, command, expunge):
        p = imap.Parser(line.parts)
        p.pos = 2
        first = p.value()
        if not first.isdigit():
            if first.upper() == b'VANISHED':
                self.vanished(p.rest(), command, expunge)
            elif first.upper() == b'BYE':
                raise EOFError('BYE')
            return
        n, what = int(first), p.value().upper()
        if what == b'EXISTS':
            if n < len(self.list):
                raise Wrong('%r: %d EXISTS where there are %d' % (command, n, len(self.list)))
            self.list += [None] * (n - len(self.list))
        elif what == b'EXPUNGE':
            if not expunge:
                raise Wrong('EXPUNGE during %r' % command)
            if not 1 <= n <= len(self.list):
                raise Wrong('EXPUNGE of %d of %d' % (n, len(self.list)))
            self.flags.pop(self.list.pop(n - 1), None)
        elif what == b'FETCH':
            self.fetched(n, p.value(), command)

    def vanished(self, rest, command, expunge):
        if rest[0] == [b'EARLIER']:
            return
        if not expunge:
            raise Wrong('VANISHED during %r' % command)
        for uid in imap.numbers(rest[0]):
            if uid in self.list:
                self.list.remove(uid)

    def fetched(self, n, items, command):
        if not 1 <= n <= len(self.list):
            raise Wrong('FETCH of %d of %d during %r' % (n, len(self.list), command))
        v = [n, items]
        uid, flags = imap.fetch_item(v, b'UID'), imap.fetch_item(v, b'FLAGS')
        if uid is not None:
            uid = int(uid)
            before = next((u for u in reversed(self.list[max(n - 20, 0):n - 1]) if u), 0)
            after = next((u for u in self.list[n:n + 20] if u), 1 << 32)
            if self.list[n - 1] not in (None, uid) or not before < uid < after:
                raise Wrong('message %d is UID %d during %r, was %r, between %r and %r' % (
                    n, uid, command, self.list[n - 1], before, after))
            self.list[n - 1] = uid
        uid = self.list[n - 1]
        if flags is not None and uid:
            self.flags[uid] = snapshot.plain_flags(flags)

    # ---- what it does

    def mine(self):
        k, n = self.share
        return [u for u in self.list if u and u % n == k and u in self.truth.messages]

    def run(self):
        try:
            while not self.ended.is_set():
                try:
                    self.connect()
                    while not self.ended.is_set():
                        self.step()
                    if self.together:
                        self.together.wait(60)
                    self.check_flags()
                    self.c.logout()
                    return
                except (OSError, EOFError) as e:
                    self.ends += 1
                    if not self.lives:
                        raise Wrong('the connection ended after %d commands: %r' % (self.commands, e))
                    time.sleep(0.05)
                except imap.Failure:
                    if not self.lives:
                        raise
                    time.sleep(0.05)
        except Exception as e:
            self.error = e
            if self.together:
                self.together.abort()

    def step(self):
        what = self.r.choice([self.fetch, self.flag, self.flag, self.append, self.remove, self.noop, self.read, self.status,
                              self.idle, self.search])
        began = time.monotonic()
        what()
        self.slowest = max(self.slowest, time.monotonic() - began)
        self.commands += 1

    def cmd(self, command, expunge=False):
        return self.tell(self.c.cmd(command), command[:60] if isinstance(command, bytes) else b'APPEND', expunge)

    def noop(self):
        self.cmd(b'NOOP', True)

    def status(self):
        self.cmd(b'STATUS ' + imap.quote(self.name) + b' (UIDVALIDITY MESSAGES)', True)

    def fetch(self):
        if self.list and self.numbers:
            a, b = sorted(self.r.randint(1, len(self.list)) for _ in range(2))
            self.cmd(b'FETCH %d:%d (UID FLAGS)' % (a, min(b, a + 50)))
        else:
            first = self.r.choice(self.list) or 1
            self.cmd(b'UID FETCH %d:%d (FLAGS)' % (first, first + 50), True)

    def search(self):
        r = self.cmd(b'UID SEARCH ALL', True)
        uids = {int(v) for row in r.lines(b'SEARCH') for v in row if isinstance(v, bytes) and v.isdigit()}
        for u in self.list:  # another client may be faster with what goes and comes
            if u and u not in uids and u not in self.truth.gone:
                raise Wrong('UID %d is not found' % u)

    def read(self):
        mine = self.mine()
        if not mine:
            return
        uid = self.r.choice(mine)
        r = self.cmd(b'UID FETCH %d (BODY.PEEK[])' % uid, True)
        for v in r.lines(b'FETCH'):
            body = imap.fetch_item(v, b'BODY[]')
            if body is not None and hashlib.sha256(body).hexdigest() != self.truth.messages[uid][0]:
                raise Wrong('UID %d has another body' % uid)
            if body is not None:
                return
        raise Wrong('UID %d has no body: %r' % (uid, r))

    def flag(self):
        mine = self.mine()
        if not mine:
            return
        uid, word, add = self.r.choice(mine), self.r.choice(KEYWORDS), self.r.random() < 0.7
        plain = word.lower() if word.startswith(b'\\') else word
        digest, flags = self.truth.messages[uid]
        after = flags | {plain} if add else flags - {plain}
        self.truth.maybe_flags.setdefault(uid, []).append(after)
        change = (b'+' if add else b'-') + b'FLAGS (%s)' % word
        if self.numbers and self.r.random() < 0.5:
            self.cmd(b'STORE %d %s' % (self.list.index(uid) + 1, change))
        else:
            self.cmd(b'UID STORE %d %s' % (uid, change), True)
        self.truth.maybe_flags[uid].pop()
        with self.truth.lock:
            self.truth.messages[uid] = (digest, after)

    def append(self):
        if not self.appends or self.made >= 150:
            return
        self.made += 1
        body = mail.message('%s-%d-%d' % (self.seed, self.share[0], self.made), 400)
        digest = hashlib.sha256(body).hexdigest()
        self.truth.maybe_there.add(digest)
        r = self.c.append(self.name, body, b'\\Seen', mail.DATES[0])
        self.tell(r, b'APPEND', True)
        code = r.code.split()
        if len(code) != 3 or int(code[1]) != self.validity:
            raise Wrong('APPEND: %r' % r)
        with self.truth.lock:
            self.truth.messages[int(code[2])] = (digest, frozenset([b'\\seen']))
        self.truth.maybe_there.discard(digest)

    def remove(self):
        mine = self.mine()
        if len(mine) < 10:
            return
        uid = self.r.choice(mine)
        digest, flags = self.truth.messages[uid]
        self.truth.maybe_flags.setdefault(uid, []).append(flags | {b'\\deleted'})
        self.cmd(b'UID STORE %d +FLAGS (\\Deleted)' % uid, True)
        self.truth.maybe_gone.add(uid)
        self.truth.gone.add(uid)
        self.cmd(b'UID EXPUNGE %d' % uid, True)
        with self.truth.lock:
            del self.truth.messages[uid]
        if uid in self.list:
            raise Wrong('UID %d was expunged, and that was not told' % uid)

    def idle(self):
        if not self.idles:
            return
        tag = self.c.start(b'IDLE')
        while True:
            line = self.c.line()
            if line.text.startswith(b'+'):
                break
            if line.text.startswith(tag):
                raise Wrong('IDLE: %r' % line)
            self.hear(line, b'IDLE', True)
        self.c.quiet(self.r.uniform(0.01, 0.5))
        self.c.send(b'DONE\r\n')
        self.tell(self.c.finish(tag), b'IDLE', True)

    def check_flags(self):
        """What it believes at last, of others' messages too if they all have come to their end, is what is there."""
        self.noop()
        told = dict(self.flags)
        self.cmd(b'UID FETCH 1:* (FLAGS)', True)
        k, n = self.share
        for uid, flags in self.flags.items():
            if (self.together or uid % n == k) and uid in told and told[uid] != flags:
                raise Wrong('UID %d was told as %s and has %s' % (uid, sorted(told[uid]), sorted(flags)))
