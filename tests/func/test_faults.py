"""Hosts, clients and disks that break, stall, or are too many: in the end every message is there once, and nobody else suffers."""

import os
import random
import resource
import socket
import subprocess
import threading
import time

from wharf import mail, snapshot
from wharf.world import until

from test_crash import SEED, account, compare, finish, select_in_background, state
from test_pairs import left_uids, totals

QUICK = 'retry_seconds = 1\nhost_timeout_seconds = 2\n'


def pair(w):
    return w.dovecot('.'), w.dovecot('/', store='sdbox')


# ---- hosts

def test_lines_and_literals_cut(w):
    """What a host says breaks off anywhere, in the middle of lines and literals, from either side."""
    old, new = pair(w)
    r = random.Random(11 + SEED * 100)
    for side in ('old', 'new'):
        user, before = account(w, old, new, 60, 'cut ' + side, size=3000)
        d = w.wherryd(w.via(old) if side == 'old' else old, w.via(new) if side == 'new' else new, more={'copy': QUICK},
                      **{side + '_tls': 'none'})
        relay = getattr(d, side).relay
        most = 40000 if side == 'old' else 1500
        end = time.monotonic() + 12
        while relay.cuts < 12 and state(d, user) != 'moved' and time.monotonic() < end:
            relay.cut_down = relay.down + r.randint(1, most)
            t, got = select_in_background(d, user)
            until(lambda: relay.cut_down is None or got, 30, 'an answer, or the next cut')
            t.join(0.2)
        assert relay.cuts >= 3, relay.cuts
        relay.cut_down = None
        finish(w, d, user)
        d.new = new
        compare(w, d, user, before)
        n = len(before.messages)
        assert totals(d.ctl_json('status')) == (n, n, 0, 0), d.ctl_json('status')
        d.stop()
        w.daemons.remove(d)


def test_host_stalls(w):
    """It takes what it is sent and says nothing any more: the copy gives up after its timeout, says why, and is tried again."""
    old, new = pair(w)
    for side in ('old', 'new'):
        user, before = account(w, old, new, 80, 'stall ' + side, size=4000)
        d = w.wherryd(w.via(old) if side == 'old' else old, w.via(new, rate=400000) if side == 'new' else new,
                      more={'copy': QUICK}, **{side + '_tls': 'none'})
        relay = getattr(d, side).relay
        t, got = select_in_background(d, user)
        until(lambda: relay.up + relay.down > (150000 if side == 'old' else 20000) or got, what='the copy to be on its way')
        relay.held = True

        def reason():
            return [m['reason'] for m in d.ctl_json('account', user)['mailboxes'] if m['name'] == 'INBOX'][0]
        if not got:
            until(lambda: 'no answer' in reason(), 30, 'the reason to be told')
            assert 'try 1 failed' in d.ctl('account', user)
        relay.held = False
        relay.rate = None
        t.join(60)
        finish(w, d, user)
        d.new = new
        compare(w, d, user, before)
        d.stop()
        w.daemons.remove(d)


def test_old_host_crashes(w):
    old, new = w.dovecot('.', extra='# crashed by its test'), w.dovecot('/', store='sdbox')
    user, before = account(w, old, new, 250, 'old crashes')
    d = w.wherryd(old, new, more={'copy': QUICK})
    r = random.Random(8 + SEED * 100)
    for n in range(4):
        t, got = select_in_background(d, user)
        time.sleep(r.uniform(0.02, 0.3))
        old.crash()
        t.join(60)
        old.start()
    finish(w, d, user)
    compare(w, d, user, before)


def test_sign_ins_do_not_pile_up(w):
    """The old host takes connections and says nothing: after some seconds people hear so at once, and soon after it is back
    they are let in."""
    old, new = pair(w)
    user = w.user(old, new)
    w.filled(old, user, {(): 3})
    d = w.wherryd(w.via(old), new, old_tls='none', more={'copy': 'host_timeout_seconds = 2\n',
                                                         'limits': 'max_connections_per_address = 1000\n',
                                                         'auth': 'verify_cache_seconds = 0\n'})
    relay = d.old.relay
    with d.connect(user) as c:
        c.select(b'INBOX')
        relay.held = True
        waited, done = [], []

        def one():
            start = time.monotonic()
            try:
                with d.connect() as c2:
                    r = c2.cmd(b'LOGIN %s not-cached' % user.encode())
                    done.append(r.code)
            except Exception as e:
                done.append(e)
            waited.append(time.monotonic() - start)
        threads = []
        end = time.monotonic() + 6
        while time.monotonic() < end:
            threads.append(threading.Thread(target=one, daemon=True))
            threads[-1].start()
            time.sleep(0.05)
        for t in threads:
            t.join(30)
        assert set(done) == {b'UNAVAILABLE'}, set(done)
        quick = [x for x in waited if x < 1]
        assert len(quick) > len(waited) / 3, sorted(waited)
        assert d.events('host_down') and len(d.events('host_down')) < 5, d.events('host_down')
        c.ok(b'FETCH 1:* FLAGS')  # who is in notices nothing
    relay.held = False

    def let_in():
        try:
            with d.connect() as c3:
                return c3.cmd(b'LOGIN %s pw' % user.encode()).ok
        except Exception:
            return False
    until(let_in, 20, 'the host to be tried again')
    assert d.events('host_up')


# ---- messages that are refused

def test_too_large_for_new(w):
    """One by one into the spool, and the mailbox moves."""
    old = w.dovecot('.')
    new = w.dovecot('/', store='sdbox', quota='300M', extra='plugin {\n quota_max_mail_size = 60k\n}\n')
    user = w.user(old, new)
    f = mail.Filler(old, user)
    f.messages(b'INBOX', 10)
    big = [mail.message('big %d' % n, 90000) for n in range(2)]
    f.append(b'INBOX', big[0], b'\\Flagged key', mail.DATES[0])
    f.messages(b'INBOX', 10)
    f.append(b'INBOX', big[1])
    f.close()
    with old.connect(user) as c:
        before = snapshot.mailbox(c, b'INBOX')
    d = w.wherryd(old, new)
    with d.connect(user) as c:
        after = snapshot.mailbox(c, b'INBOX')
    left = left_uids(d)[b'INBOX']
    assert sorted(left) == [11, 22], left
    snapshot.must_equal(snapshot.compare_mailbox('INBOX', before, after, left=left), 'the others')
    for uid, body in ((11, big[0]), (22, big[1])):
        with open(left[uid]['file'], 'rb') as f:
            assert f.read() == body
        assert left[uid]['reason'], left
    assert totals(d.ctl_json('status')) == (22, 20, 2, 0)


def test_dates_of_long_ago(w):
    """Before 1970, as far as the hosts can; what they cannot is not lost either."""
    for new, sign_in in ((w.dovecot('/', store='sdbox'), 'master'), (w.cyrus(), 'authzid')):
        old = w.dovecot('.')
        user = w.user(old, new)
        f = mail.Filler(old, user)
        f.messages(b'INBOX', 3)
        for date in (b'31-Dec-1969 23:59:59 +0000', b'01-Jan-1970 00:00:00 +0000', b'01-Jul-1950 12:00:00 +0000'):
            f.append(b'INBOX', mail.message(date), b'\\Seen', date)
        f.messages(b'INBOX', 3)
        f.close()
        with old.connect(user) as c:
            before = snapshot.mailbox(c, b'INBOX')
        d = w.wherryd(old, new, sign_in=sign_in)
        with d.connect(user) as c:
            after = snapshot.mailbox(c, b'INBOX')
        left = left_uids(d).get(b'INBOX', {})
        found, moved, behind, vanished = totals(d.ctl_json('status'))
        assert (found, moved + behind, vanished) == (9, 9, 0), (found, moved, behind, vanished)
        odd = {u for u, m in before.messages.items() if m.date <= 0}
        for u in odd:  # hosts do not agree on what these are
            before.messages[u].date = after.messages[u].date if u in after.messages else None
        snapshot.must_equal(snapshot.compare_mailbox('INBOX', before, after, left=left), new.name)


# ---- disks

def on_small_disk(folder, size):
    os.makedirs(folder, exist_ok=True)
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=%s,mode=700' % size, 'tmpfs', folder], check=True)


def test_spool_full(w):
    """A message that new refuses and that there is no room for: the mailbox waits with a reason, and moves when there is room."""
    old, new = w.dovecot('.'), w.cyrus()
    user = w.user(old, new)
    f = mail.Filler(old, user)
    f.messages(b'INBOX', 5)
    f.append(b'INBOX', b'no header ' * 40000)
    f.messages(b'INBOX', 5)
    f.close()
    with old.connect(user) as c:
        before = snapshot.mailbox(c, b'INBOX')
    d = w.wherryd(old, new, sign_in='authzid', start=False, more={'copy': QUICK})
    spool = d.dir + '/spool'
    with open(d.conf) as f:
        text = f.read()
    w.place.write(d.conf, text.replace('store {\n', 'store {\nspool = "%s"\n' % spool))
    on_small_disk(spool, '128k')
    try:
        d.start()
        with d.connect(user) as c:
            c.select(b'INBOX')  # the old host serves it
            assert state(d, user) != 'moved'
        assert not left_uids(d)
        reason = [m['reason'] for m in d.ctl_json('account', user)['mailboxes'] if m['name'] == 'INBOX'][0]
        assert 'spool' in reason and 'space' in reason, reason
        assert not [n for _, _, names in os.walk(spool) for n in names], 'half a message is left in the spool'
        subprocess.run(['mount', '-o', 'remount,size=8m', spool], check=True)
        finish(w, d, user)
        left = left_uids(d)[b'INBOX']
        assert sorted(left) == [6], left
        with open(left[6]['file'], 'rb') as f:
            assert f.read() == b'no header ' * 40000
        with d.connect(user) as c:
            after = snapshot.mailbox(c, b'INBOX')
        snapshot.must_equal(snapshot.compare_mailbox('INBOX', before, after, left=left), 'afterwards')
        assert totals(d.ctl_json('status')) == (11, 10, 1, 0)
        d.stop()
        w.daemons.remove(d)
    finally:
        if d.process:
            d.process.stop()
            d.process = None
        subprocess.run(['umount', spool], check=True)


def test_damaged_store(w):
    """It refuses to start, says what is damaged and what to do, and changes nothing."""
    old, new = pair(w)
    user = w.user(old, new)
    w.filled(old, user, {(): 10})
    d = w.wherryd(old, new)
    with d.connect(user) as c:
        c.select(b'INBOX')
    d.stop()
    path = d.store + '/data.mdb'
    with open(path, 'rb') as f:
        good = f.read()

    def start():
        return subprocess.run([d.program('wherryd'), '-c', d.conf], stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
    for bad in (b'\0' * len(good), good[:5000], os.urandom(len(good)), b'not a store'):
        with open(path, 'wb') as f:
            f.write(bad)
        r = start()
        assert r.returncode == 1, (r.returncode, r.stderr[-2000:])
        assert b'start_failed' in r.stderr and (b'restore' in r.stderr or b'another folder' in r.stderr), r.stderr[-2000:]
        with open(path, 'rb') as f:
            now = f.read()
        assert now == bad, ('a damaged store was written to', len(bad), len(now), bad[:20], now[:20])
    with open(path, 'wb') as f:
        f.write(good)
    d.start()
    with d.connect(user) as c:
        c.select(b'INBOX')


# ---- clients

def test_out_of_descriptors(w):
    """No more connections than there are descriptors: who is in stays in, and when some have gone others come in."""
    old, new = pair(w)
    user = w.user(old, new)
    w.filled(old, user, {(): 5})
    d = w.wherryd(old, new, start=False, more={'limits': 'max_connections_per_address = 1000\n'})
    was = resource.getrlimit(resource.RLIMIT_NOFILE)
    d.start()
    resource.prlimit(d.process.pid, resource.RLIMIT_NOFILE, (80, 80))
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == was
    with d.connect(user) as c:
        c.select(b'INBOX')
        held = []
        try:
            for _ in range(150):
                held.append(socket.create_connection(('127.0.0.1', d.port), timeout=5))
            time.sleep(0.5)
            for _ in range(20):
                c.ok(b'NOOP')
            assert len(c.ok(b'FETCH 1:* FLAGS').lines(b'FETCH')) > 0
            assert d.process.alive()
        finally:
            for s in held:
                s.close()

        def let_in():
            try:
                with d.connect(user) as other:
                    return other.cmd(b'SELECT INBOX').ok
            except Exception:
                return False
        until(let_in, 20, 'somebody to be let in again')
        c.ok(b'NOOP')


def test_half_open_clients(w):
    """5,000 that say nothing: a person signs in among them, and they are sent away in time."""
    old, new = pair(w)
    user = w.user(old, new)
    w.filled(old, user, {(): 5})
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 12000), max(hard, 12000)))
    d = w.wherryd(old, new, level='warn', more={
        'limits': 'max_connections = 6000\nmax_connections_per_address = 600\nsign_in_seconds = 20\n'})
    base = d.memory()
    held = []
    try:
        for n in range(5000):
            s = socket.socket()
            s.bind(('127.0.1.%d' % (1 + n // 500), 0))
            s.settimeout(10)
            s.connect(('127.0.0.1', d.port if n % 2 else d.tls_port))
            if n % 10 == 0:
                s.sendall(b'\x16\x03')
            held.append(s)
        start = time.monotonic()
        with d.connect(user) as c:
            c.select(b'INBOX')
            c.ok(b'NOOP')
        assert time.monotonic() - start < 10
        grown = d.memory() - base
        assert grown < 400 * 1024, grown  # with the sanitizer's own
        until(lambda: open_files(d) < 200, 60, 'those that say nothing to be sent away')
    finally:
        for s in held:
            s.close()
    with d.connect(user) as c:
        c.ok(b'NOOP')


def open_files(d):
    return len(os.listdir('/proc/%d/fd' % d.process.pid))


def drip(s, data, seconds):
    """Byte after byte, until it is closed; how long that took."""
    start = time.monotonic()
    s.settimeout(0.2)
    i = 0
    while time.monotonic() - start < seconds:
        try:
            s.sendall(data[i % len(data):i % len(data) + 1])
            i += 1
            if not s.recv(65536):
                return time.monotonic() - start
        except (TimeoutError, socket.timeout):
            pass
        except OSError:
            return time.monotonic() - start
    raise AssertionError('still open after %d s' % seconds)


def test_slow_loris(w):
    """At each stage before the sign-in, a byte now and then does not keep a connection open longer than sign_in_seconds; after
    it a client that stops in the middle is dropped after stall_seconds."""
    old, new = pair(w)
    user = w.user(old, new)
    d = w.wherryd(old, new, more={'limits': 'sign_in_seconds = 2\nstall_seconds = 2\n', 'listen': 'plaintext = "loopback"\n'})
    stages = [(d.tls_port, b''), (d.tls_port, b'\x16\x03\x01\x02\x00\x01'), (d.port, b''), (d.port, b'a LOGIN {20}\r\n'),
              (d.port, b'a LOGIN {20+}\r\nabc'), (d.port, b'a AUTHENTICATE PLAIN\r\n'), (d.port, b'a STARTTLS\r\n'),
              (d.port, b'a ID ("name" {900+}\r\n')]
    errors = []

    def one(port, first):
        try:
            with socket.create_connection(('127.0.0.1', port), timeout=20) as s:
                if first:
                    s.sendall(first)
                took = drip(s, b'AAAA', 8)
                assert took < 6, took
        except Exception as e:
            errors.append((port == d.tls_port, first, e))

    def signed_in(first):
        try:
            c = d.connect(user, tls='none')
            c.send(first)
            start = time.monotonic()
            c.expect_eof()
            took = time.monotonic() - start
            assert 1 < took < 12, took
        except Exception as e:
            errors.append((first, e))
    threads = [threading.Thread(target=one, args=x) for x in stages]
    threads += [threading.Thread(target=signed_in, args=(x,)) for x in (
        b'a SEL', b'a SELECT {5}\r\n', b'a APPEND INBOX {500}\r\n', b'a APPEND INBOX {500+}\r\nSubject: x\r\n',
        b'a SEARCH TEXT {400+}\r\nabc')]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert not errors, errors
    with d.connect(user) as c:
        c.select(b'INBOX')
        assert not c.ok(b'SEARCH ALL').lines(b'SEARCH')[0], 'half a message was stored'


def test_client_never_reads(w):
    """It asks for much and takes nothing: dropped after stall_seconds."""
    old, new = pair(w)
    user = w.user(old, new)
    with old.connect(user) as c:
        c.append(b'INBOX', mail.message('large', 8 << 20), plus=True)
    d = w.wherryd(old, new, more={'limits': 'stall_seconds = 2\n', 'listen': 'plaintext = "loopback"\n'})
    with d.connect(user, tls='none') as c:
        c.select(b'INBOX')
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(3):
            c.send(b'x FETCH 1 BODY.PEEK[]\r\n')
        until(lambda: d.events('session_end') and d.events('session_end')[-1].get('reason') == 'idle', 20, 'it to be dropped')


def test_sign_in_flood(w):
    """Somebody guesses a person's password from one address, and everybody's from another: the answers come later and later
    there, and the person comes in from elsewhere at once."""
    # It is told who guesses, and brakes them itself.
    old, new = w.dovecot('.', extra='login_trusted_networks = 127.0.0.1\n'), w.dovecot('/', store='sdbox')
    users = [w.user(old, new) for _ in range(4)]
    d = w.wherryd(old, new, more={'limits': 'sign_in_attempts = 100\nmax_connections_per_address = 20\n'})
    stop = time.monotonic() + 6
    tries = {'127.0.2.1': 0, '127.0.2.2': 0}

    def guess(source, names):
        n = 0
        while time.monotonic() < stop:
            try:
                with d.connect(source=source) as c:
                    c.sock.settimeout(max(stop - time.monotonic(), 0.1) + 0.2)
                    for _ in range(20):
                        c.cmd(b'LOGIN %s wrong%d' % (names[n % len(names)].encode(), n))
                        tries[source] += 1
                        n += 1
            except Exception:
                pass
    threads = [threading.Thread(target=guess, args=('127.0.2.1', users[:1])) for _ in range(4)]
    threads += [threading.Thread(target=guess, args=('127.0.2.2', users)) for _ in range(4)]
    for t in threads:
        t.start()
    time.sleep(1.5)
    for user in users:
        start = time.monotonic()
        with d.connect(source='127.0.3.3') as c:
            c.login(user, 'pw')
        assert time.monotonic() - start < 2, 'the right person had to wait'
    for t in threads:
        t.join(30)
    # Without a brake there would be hundreds; each of the four at an address waits 1, 2, 4 s.
    assert 0 < tries['127.0.2.1'] <= 20 and 0 < tries['127.0.2.2'] <= 20, tries
    with d.connect(source='127.0.3.3') as c:
        c.login(users[0], 'pw')


test_half_open_clients.limit = 180
