"""CONDSTORE and QRESYNC across the move: a client that was in sync with the old host learns what changed since, and is told
nothing else again; mod-sequences of the view never go back."""

import copy
import random
import re

from wharf import mail
from wharf.imap import fetch_item, numbers, quote
from wharf.world import until


def highest(reply):
    got = reply.codes(b'HIGHESTMODSEQ')
    assert len(got) == 1, reply
    return int(got[0])


def status(c, name, item=b'HIGHESTMODSEQ'):
    row = c.ok(b'STATUS ' + quote(name) + b' (' + item + b')').lines(b'STATUS')[0]
    return int(row[1][row[1].index(item) + 1])


def uids_of(reply):
    return [int(fetch_item(row, b'UID')) for row in reply.lines(b'FETCH')]


def vanished(reply, earlier=True):
    """UIDs of all VANISHED lines; EARLIER or not as it is asked."""
    out = []
    for line in reply.lines(b'VANISHED'):
        assert (len(line) == 2 and line[0] == [b'EARLIER']) == earlier, line
        out += numbers(line[-1])
    return sorted(out)


def flags_of(row):
    return {f.lower() for f in fetch_item(row, b'FLAGS')} - {b'\\recent'}


class Cache:
    """What a client with QRESYNC keeps of a mailbox."""

    def __init__(self, c, name):
        self.name = name
        c.ok(b'ENABLE QRESYNC')
        r = c.select(name)
        self.validity = int(r.codes(b'UIDVALIDITY')[0])
        self.modseq = highest(r)
        self.flags = {}
        self.learn(c.ok(b'UID FETCH 1:* (FLAGS)'))

    def learn(self, r):
        for row in r.lines(b'FETCH'):
            self.flags[int(fetch_item(row, b'UID'))] = flags_of(row)

    def select(self, c, known=False, since=None):
        """SELECT with QRESYNC as such a client does it; returns (reply, UIDs of FETCH lines, UIDs that vanished)."""
        text = b'%d %d' % (self.validity, since or self.modseq)
        if known:
            text += b' 1:%d' % max(self.flags)
        r = c.ok(b'SELECT ' + quote(self.name) + b' (QRESYNC (' + text + b'))')
        assert int(r.codes(b'UIDVALIDITY')[0]) == self.validity
        gone = vanished(r)
        for u in gone:
            self.flags.pop(u, None)
        top = max(self.flags, default=0)
        self.learn(r)
        self.modseq = highest(r)
        if known:  # what came since is not among the known ones
            self.learn(c.ok(b'UID FETCH %d:* (FLAGS)' % (top + 1)))
        return r, uids_of(r), gone

    def must_equal(self, c):
        truth = {int(fetch_item(row, b'UID')): flags_of(row) for row in c.ok(b'UID FETCH 1:* (FLAGS)').lines(b'FETCH')}
        wrong = {u: (self.flags.get(u), truth.get(u)) for u in set(truth) ^ set(self.flags) |
                 {u for u in truth if truth[u] != self.flags.get(u)}}
        assert not wrong, 'UID: (as the client has it, as it is): %r' % wrong


class Scene:
    def __init__(self, w, new, old=None, boxes=None):
        self.w, self.new, self.old = w, new, old or w.dovecot('.')
        self.user = w.user(self.old, self.new)
        w.filled(self.old, self.user, boxes or {(): 40, ('A',): 24})
        self.box = self.old.view('A')
        self.d = w.wherryd(self.old, self.new, sign_in='authzid' if new.name == 'cyrus' else 'master')

    def connect(self):
        return self.d.connect(self.user)

    def cached(self, name=None):
        with self.old.connect(self.user) as o:
            return Cache(o, name or self.box)

    def switched(self):
        with open(self.d.log, errors='replace') as f:
            return re.search(r'event=moved .*unit=(INBOX.A|"INBOX.A")', f.read())

    def on_old(self, *commands, name=None):
        with self.old.connect(self.user) as o:
            o.select(name or self.box)
            for command in commands:
                o.ok(command)


def in_sync(w, new, old=None):
    s = Scene(w, new, old)
    cache = s.cached()
    with s.connect() as c:
        assert status(c, s.box) == cache.modseq  # the home is old still
        c.ok(b'ENABLE QRESYNC')
        before = cache.modseq
        _, fetched, gone = cache.select(c)
        assert not fetched and not gone, (fetched, gone)
        assert cache.modseq > before
        assert status(c, b'INBOX') and status(c, s.box) == cache.modseq
        r = c.ok(b'UID FETCH 1:* (FLAGS) (CHANGEDSINCE %d VANISHED)' % before)
        assert not r.lines(b'FETCH') and not r.lines(b'VANISHED'), r
        found = c.ok(b'UID SEARCH MODSEQ %d' % (before + 1)).lines(b'SEARCH')[0]
        assert not [n for n in found if isinstance(n, bytes)], found
        cache.must_equal(c)
        # None of the new host's own numbers shows.
        rows = c.ok(b'FETCH 1:* (MODSEQ)').lines(b'FETCH')
        assert rows and all(before < int(fetch_item(row, b'MODSEQ')[0]) <= cache.modseq for row in rows), rows
        # And who comes back finds nothing, too.
        _, fetched, gone = cache.select(c, known=True)
        assert not fetched and not gone, (fetched, gone)


def test_in_sync_to_dovecot(w):
    in_sync(w, w.dovecot('/', store='sdbox'))


def test_in_sync_to_cyrus(w):
    in_sync(w, w.cyrus())


def test_in_sync_from_cyrus(w):
    """There the numbers are those of the whole account."""
    in_sync(w, w.dovecot('/', store='sdbox'), w.cyrus())


def missed(w, new, known, old=None):
    """Flags and expunges of old after the client's last visit."""
    s = Scene(w, new, old)
    cache = s.cached()
    have = sorted(cache.flags)
    gone, marked = have[3:6] + [have[-2]], have[1]
    s.on_old(b'UID STORE %d +FLAGS (\\Flagged later)' % marked,
             b'UID STORE %s +FLAGS (\\Deleted)' % b','.join(b'%d' % u for u in gone),
             b'UID EXPUNGE %s' % b','.join(b'%d' % u for u in gone))
    with s.connect() as c:
        c.ok(b'ENABLE QRESYNC')
        old_modseq = cache.modseq
        _, fetched, told = cache.select(c, known)
        assert marked in fetched and set(gone) <= set(told), (fetched, told)
        assert not set(told) & set(cache.flags)
        assert b'later' in cache.flags[marked]
        cache.must_equal(c)
        # The same by UID FETCH.
        r = c.ok(b'UID FETCH %d:%d (FLAGS) (CHANGEDSINCE %d VANISHED)' % (have[3], have[6], old_modseq))
        assert set(gone[:3]) <= set(vanished(r)) and max(vanished(r)) <= have[6], r
        r = c.ok(b'UID FETCH %d:%d (FLAGS) (CHANGEDSINCE %d VANISHED)' % (gone[0], gone[2], old_modseq))
        assert vanished(r) == list(range(gone[0], gone[2] + 1)) and not r.lines(b'FETCH'), r


def test_missed_to_dovecot(w):
    missed(w, w.dovecot('/', store='sdbox'), False)


def test_missed_to_dovecot_known_uids(w):
    missed(w, w.dovecot('/'), True)


def test_missed_to_cyrus(w):
    missed(w, w.cyrus(), False)


def test_missed_to_cyrus_known_uids(w):
    missed(w, w.cyrus(), True)


def test_missed_from_cyrus(w):
    missed(w, w.dovecot('/', store='sdbox'), True, w.cyrus())


def afterwards(w, new):
    """After the move two clients at once; nothing of the new host's numbers shows."""
    s = Scene(w, new)
    cache = s.cached()
    with s.connect() as c, s.connect() as other:
        c.ok(b'ENABLE QRESYNC')
        cache.select(c)
        high = cache.modseq
        have = sorted(cache.flags)
        # Who never spoke of mod-sequences sees none, though the new host keeps them.
        r = other.select(s.box)
        assert highest(r) == high
        r = other.ok(b'UID STORE %d +FLAGS (seven)' % have[0])
        assert not re.search(rb'MODSEQ', b' '.join(x.text for x in r.untagged)), r
        r = c.noop_until(lambda r: r.lines(b'FETCH'))
        row = r.lines(b'FETCH')[0]
        assert int(fetch_item(row, b'UID')) == have[0] and int(fetch_item(row, b'MODSEQ')[0]) > high, row
        modseq = int(fetch_item(row, b'MODSEQ')[0])
        r = c.ok(b'UID SEARCH MODSEQ %d' % (high + 1))
        assert [int(n) for n in r.lines(b'SEARCH')[0][:1]] == [have[0]], r
        assert [int(r.lines(b'SEARCH')[0][1][1])] == [modseq], r
        r = c.ok(b'UID SEARCH RETURN (ALL) MODSEQ %d' % (high + 1))
        assert b'MODSEQ %d' % modseq in r.untagged[0].text and b'ALL %d ' % have[0] in r.untagged[0].text + b' ', r
        # UNCHANGEDSINCE: of the message that changed, and of one that did not.
        r = c.ok(b'UID STORE %d,%d (UNCHANGEDSINCE %d) +FLAGS.SILENT (eight)' % (have[0], have[1], high))
        assert r.code == b'MODIFIED %d' % have[0], r
        rows = r.lines(b'FETCH')
        assert uids_of(r) == [have[1]] and int(fetch_item(rows[0], b'MODSEQ')[0]) > modseq, r
        # Expunges are told as VANISHED to the one, as EXPUNGE to the other.
        other.ok(b'UID STORE %d +FLAGS (\\Deleted)' % have[2])
        r = other.ok(b'UID EXPUNGE %d' % have[2])
        assert len(r.lines(b'EXPUNGE')) == 1 and not r.lines(b'VANISHED'), r
        r = c.noop_until(lambda r: r.lines(b'VANISHED'))
        assert vanished(r, False) == [have[2]] and not r.lines(b'EXPUNGE'), r
        r = c.ok(b'UID FETCH 1:* (UID) (CHANGEDSINCE %d VANISHED)' % high)
        assert have[2] in vanished(r) and set(uids_of(r)) == {have[0], have[1]}, r
        # EXPUNGE tells where it stands now.
        c.ok(b'UID STORE %d +FLAGS.SILENT (\\Deleted)' % have[3])
        r = c.ok(b'EXPUNGE')
        assert vanished(r, False)[0] == have[3] and r.code.startswith(b'HIGHESTMODSEQ'), r
        after = int(r.code.split()[1])
        other.ok(b'UNSELECT')
        assert after > high and status(other, s.box) >= after
        # The first one comes again with what it knew at first.
        again = Cache.__new__(Cache)
        again.name, again.validity, again.modseq, again.flags = s.box, cache.validity, high, dict(cache.flags)
        _, fetched, gone = again.select(c)
        assert set(fetched) == {have[0], have[1]} and set(have[2:4]) <= set(gone), (fetched, gone)
        again.must_equal(c)


def test_afterwards_dovecot(w):
    afterwards(w, w.dovecot('/', store='sdbox'))


def test_afterwards_cyrus(w):
    afterwards(w, w.cyrus())


def conditional_store(w, new):
    """A conditional STORE with a number of the old host: done where the client was in sync with the mailbox, and never where
    it was not, whatever the message."""
    s = Scene(w, new)
    cache = s.cached()
    with s.connect() as c:
        c.ok(b'SELECT ' + quote(s.box) + b' (CONDSTORE)')
        have = sorted(cache.flags)
        for since in (1, cache.modseq - 1):
            for flag in (b'\\Answered', b'fresh'):
                r = c.ok(b'UID STORE %d (UNCHANGEDSINCE %d) +FLAGS (%s)' % (have[0], since, flag))
                assert r.code == b'MODIFIED %d' % have[0] and not [x for x in r.lines(b'FETCH') if fetch_item(x, b'FLAGS')], r
        r = c.ok(b'UID STORE %d (UNCHANGEDSINCE %d) +FLAGS (fresh)' % (have[0], cache.modseq))
        assert not r.code.startswith(b'MODIFIED'), r
        r = c.ok(b'UID STORE %d (UNCHANGEDSINCE %d) +FLAGS (again)' % (have[0], cache.modseq))
        assert r.code == b'MODIFIED %d' % have[0], r
        r = c.ok(b'STORE 1 (UNCHANGEDSINCE %d) +FLAGS (again)' % cache.modseq)
        assert r.code == b'MODIFIED 1', r


def test_conditional_store_dovecot(w):
    conditional_store(w, w.dovecot('/', store='sdbox'))


def test_conditional_store_cyrus(w):
    conditional_store(w, w.cyrus())


def from_courier(w, new):
    """The old host has no mod-sequences: 0 until the move, then those of the new host."""
    s = Scene(w, new, w.courier())
    with s.connect() as c:
        assert status(c, s.box) == 0
        c.ok(b'ENABLE CONDSTORE')
        r = c.select(s.box)
        high = highest(r)
        assert high > 0 and status(c, s.box) == high
        rows = c.ok(b'UID FETCH 1:* (MODSEQ)').lines(b'FETCH')
        assert rows and all(0 < int(fetch_item(row, b'MODSEQ')[0]) <= high for row in rows)
        assert len(c.ok(b'UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1)').lines(b'FETCH')) == len(rows)
        assert not c.ok(b'UID FETCH 1:* (FLAGS) (CHANGEDSINCE %d)' % high).lines(b'FETCH')


def test_from_courier_to_dovecot(w):
    from_courier(w, w.dovecot('/', store='sdbox'))


def test_from_courier_to_cyrus(w):
    from_courier(w, w.cyrus())


def test_only_grows(w):
    """UIDNEXT and HIGHESTMODSEQ across the move, a restart of the daemon, and changes."""
    s = Scene(w, w.dovecot('/', store='sdbox'))
    seen = []

    def look(c):
        seen.append((status(c, s.box, b'UIDNEXT'), status(c, s.box)))
    with s.old.connect(s.user) as o:
        look(o)
    with s.connect() as c:
        look(c)
        c.select(s.box)
        c.ok(b'UNSELECT')
        look(c)
        c.append(s.box, mail.message('grow', 500))
        look(c)
    s.d.stop()
    s.d.start()
    with s.connect() as c:
        look(c)
        r = c.select(s.box)
        assert highest(r) == seen[-1][1], (r, seen)
        c.ok(b'STORE 1 +FLAGS (x)')
        c.ok(b'UNSELECT')
        look(c)
    assert seen == sorted(seen) and seen[-1] > seen[0], seen
    assert [a for a, _ in seen] == sorted(a for a, _ in seen) and [b for _, b in seen] == sorted(b for _, b in seen), seen


def test_enable(w):
    """What is on is told, the first time and again; unknown names are passed over."""
    for new in (w.dovecot('/', store='sdbox'), w.cyrus()):
        s = Scene(w, new)
        with s.connect() as c:
            assert {b'CONDSTORE', b'QRESYNC', b'ENABLE', b'ESEARCH', b'ESORT'} <= c.capability()
            for name in (b'BAD', b'SELECT "%s" (QRESYNC (1 1))' % s.box):
                assert c.cmd(name).status == b'BAD'
            assert c.ok(b'ENABLE X-WHAT NOTIFY').lines(b'ENABLED') == [[]]
            assert c.ok(b'ENABLE CONDSTORE X-WHAT').lines(b'ENABLED') == [[b'CONDSTORE']]
            for _ in range(2):
                assert c.ok(b'ENABLE qresync').lines(b'ENABLED') == [[b'QRESYNC']]
            r = c.select(s.box)
            assert not r.codes(b'CLOSED')
            r = c.select(b'INBOX')
            assert len(r.codes(b'CLOSED')) == 1, r
            assert c.cmd(b'FETCH 1 (FLAGS) (CHANGEDSINCE 5 VANISHED)').status == b'BAD'


def test_saved_results(w):
    s = Scene(w, w.dovecot('/', store='sdbox'))
    with s.connect() as c:
        assert b'SEARCHRES' in c.capability()
        c.select(s.box)
        have = [int(n) for n in c.ok(b'UID SEARCH ALL').lines(b'SEARCH')[0]]
        r = c.ok(b'UID SEARCH RETURN (SAVE) UID %d:%d' % (have[1], have[3]))
        assert not r.lines(b'ESEARCH') and not r.lines(b'SEARCH'), r
        assert uids_of(c.ok(b'UID FETCH $ (FLAGS)')) == have[1:4]
        assert uids_of(c.ok(b'FETCH $ (UID)')) == have[1:4]
        assert [int(n) for n in c.ok(b'UID SEARCH UID $ UID %d:*' % have[2]).lines(b'SEARCH')[0]] == have[2:4]
        c.ok(b'UID STORE $ +FLAGS.SILENT (\\Deleted)')
        r = c.ok(b'UID SEARCH RETURN (SAVE MIN COUNT) $ UID %d:*' % have[2])
        assert b'MIN %d' % have[2] in r.untagged[0].text and b'COUNT 2' in r.untagged[0].text, r
        c.ok(b'UID SEARCH RETURN (SAVE) UID %d:%d' % (have[1], have[2]))
        r = c.ok(b'UID EXPUNGE $')
        assert len(r.lines(b'EXPUNGE')) == 2, r
        assert [int(n) for n in c.ok(b'UID SEARCH ALL').lines(b'SEARCH')[0]] == have[:1] + have[3:]
        # A search of UIDs that nothing has empties it.
        c.ok(b'UID SEARCH RETURN (SAVE) UID %d' % have[1])
        assert not c.ok(b'UID FETCH $ (FLAGS)').lines(b'FETCH')


def test_sorted_results(w):
    for new in (w.dovecot('/', store='sdbox'), w.cyrus()):
        s = Scene(w, new)
        with s.connect() as c:
            c.ok(b'SELECT ' + quote(s.box) + b' (CONDSTORE)')
            plain = [int(n) for n in c.ok(b'UID SORT (REVERSE DATE) UTF-8 ALL').lines(b'SORT')[0]]
            r = c.ok(b'UID SORT RETURN (ALL COUNT) (REVERSE DATE) UTF-8 ALL')
            row = r.lines(b'ESEARCH')[0]
            assert numbers(row[row.index(b'ALL') + 1]) == plain and int(row[row.index(b'COUNT') + 1]) == len(plain), r
            high = status(c, s.box)
            r = c.ok(b'UID SORT (REVERSE DATE) UTF-8 MODSEQ 1')
            assert [int(n) for n in r.lines(b'SORT')[0][:-1]] == plain and int(r.lines(b'SORT')[0][-1][1]) <= high, r
            assert c.cmd(b'UID SORT RETURN (PARTIAL 1:2) (DATE) UTF-8 ALL').status == b'BAD'
            assert c.cmd(b'UID THREAD REFS UTF-8 ALL').ok


def stale(w, new):
    """A client that was on old after the switch, and comes to the view only then: what it saw there is not in the view."""
    s = Scene(w, new)
    with s.connect() as c:
        c.select(s.box)
    s.on_old(b'UID STORE 1:* +FLAGS (\\Flagged stray)')
    with s.old.connect(s.user) as o:
        o.append(s.box, mail.message('stray', 500))
    cache = s.cached()
    stray = max(cache.flags)
    with s.connect() as c:
        c.ok(b'ENABLE QRESYNC')
        before = cache.modseq
        _, _, gone = cache.select(c)
        assert stray in gone and cache.modseq > before, (stray, gone)
        cache.must_equal(c)


def test_stale_to_dovecot(w):
    stale(w, w.dovecot('/', store='sdbox'))


def test_stale_to_cyrus(w):
    stale(w, w.cyrus())


def both_sides(w, new):
    """Changes on old and on new while the copy runs slowly; whenever a client was in sync with old, it ends with what the
    view has."""
    old = w.dovecot('.')
    user = w.user(old, new)
    f = mail.Filler(old, user)
    box = f.create('A')
    for n in range(40):
        f.append(box, mail.message('slow-%d' % n, 10000))
    f.close()
    s = Scene.__new__(Scene)
    s.w, s.new, s.old, s.user, s.box = w, new, old, user, box
    s.d = w.wherryd(old, w.via(new, rate=200000), new_tls='none', sign_in='authzid' if new.name == 'cyrus' else 'master',
                    more={'copy': 'batch_messages = 5\n'})
    caches = [s.cached()]
    there = new.view('A')
    with s.connect() as c, old.connect(user) as side, new.connect(user) as far:
        tag = c.start(b'SELECT ' + quote(box))
        until(lambda: s.d.new.relay.up > 100000, what='a quarter of the copy')
        side.select(box)
        side.ok(b'UID STORE 2,39 +FLAGS (\\Flagged late)')
        caches.append(s.cached())
        side.ok(b'UID STORE 4,5,38 +FLAGS (\\Deleted)')
        side.ok(b'EXPUNGE')
        until(lambda: int(far.select(there).lines(b'EXISTS')[0][0]) >= 3, what='the first messages')
        far.ok(b'STORE 1 +FLAGS (\\Answered theirs)')
        far.ok(b'STORE 3 -FLAGS (\\Seen)')
        caches.append(s.cached())
        n = 0
        while not s.switched():
            n += 1
            far.ok(b'STORE 1 +FLAGS (n%d)' % (n % 20))
            caches[3:] = [s.cached()]
        r = c.finish(tag)
        assert r.ok, r
    for cache in caches:
        with s.connect() as c:
            c.ok(b'ENABLE QRESYNC')
            cache.select(c)
            cache.must_equal(c)


def test_both_sides_dovecot(w):
    both_sides(w, w.dovecot('/', store='sdbox'))


def test_both_sides_cyrus(w):
    both_sides(w, w.cyrus())


def change(r, c, box, uids, n):
    """One random change to the selected mailbox; uids is kept up to date."""
    what = r.random()
    if what < 0.2 or not uids:
        code = c.append(box, mail.message('random-%d' % n, 400), b'\\Seen' if r.random() < 0.5 else b'').code
        uids.append(int(code.split()[2]))
        return
    u = r.choice(uids)
    if what < 0.4:
        c.ok(b'UID STORE %d +FLAGS.SILENT (\\Deleted)' % u)
        c.ok(b'UID EXPUNGE %d' % u)
        uids.remove(u)
    else:
        c.ok(b'UID STORE %d %sFLAGS (%s)' % (u, r.choice((b'+', b'-')), r.choice((b'\\Flagged', b'\\Seen', b'k1', b'k2 k3'))))


def random_caches(w, new, old=None, seed=7):
    """Clients that were there at any time, before and after the move, and come back at any time: in the end each has what is
    there, however it asks."""
    s = Scene(w, new, old, boxes={(): 2, ('A',): 60})
    r = random.Random(seed)
    caches = [s.cached()]
    with s.old.connect(s.user) as o:
        o.select(s.box)
        uids = [int(n) for n in o.ok(b'UID SEARCH ALL').lines(b'SEARCH')[0]]
        for n in range(40):
            change(r, o, s.box, uids, n)
            if n % 8 == 7:
                caches.append(s.cached())
    with s.connect() as c, s.connect() as side:
        side.ok(b'ENABLE QRESYNC')
        c.select(s.box)
        for n in range(100, 150):
            change(r, c, s.box, uids, n)
            if n % 4 == 0:
                cache = r.choice(caches)
                caches.append(copy.deepcopy(cache))  # and one that does not come back now
                cache.select(side, r.random() < 0.5)
                cache.must_equal(side)
        for cache in caches:
            if r.random() < 0.3:  # the way without SELECT's own
                since = cache.modseq
                side.select(s.box)
                got = side.ok(b'UID FETCH 1:%d (FLAGS) (CHANGEDSINCE %d VANISHED)' % (max(uids), since))
                for u in vanished(got):
                    cache.flags.pop(u, None)
                cache.learn(got)
            else:
                cache.select(side, False)
            cache.must_equal(side)
        high = caches[-1].modseq
        assert status(c, s.box) >= high > caches[0].modseq - (1 << 50)


def test_random_caches_dovecot(w):
    random_caches(w, w.dovecot('/', store='sdbox'))


def test_random_caches_cyrus(w):
    random_caches(w, w.cyrus())


def test_random_caches_from_cyrus(w):
    random_caches(w, w.dovecot('/'), w.cyrus(), seed=11)


def test_left_behind(w):
    """A message that the new host did not take is told to have vanished, even to who was in sync."""
    old, new = w.dovecot('.'), w.cyrus()
    user = w.user(old, new)
    w.filled(old, user, {('A',): 8})
    box = old.view('A')
    with old.connect(user) as o:
        o.append(box, b'Subject: bare\r\n\r\nline\nfeed\0nul\r\n')
        o.append(box, mail.message('after', 400))
    s = Scene.__new__(Scene)
    s.w, s.new, s.old, s.user, s.box = w, new, old, user, box
    s.d = w.wherryd(old, new, sign_in='authzid')
    cache = s.cached()
    with s.connect() as c:
        c.ok(b'ENABLE QRESYNC')
        have = sorted(cache.flags)
        _, fetched, gone = cache.select(c)
        now = uids_of(c.ok(b'UID FETCH 1:* (UID)'))
        assert set(have) - set(now) <= set(gone), (have, now, gone)
        assert not fetched, fetched
        cache.must_equal(c)
