"""What moves without being opened: who goes first, when it stops, and what it never gets in the way of."""

import datetime
import os
import signal
import time

from wharf import mail, snapshot
from wharf.world import until

SWEEP = 'sweep = yes\nretry_seconds = 1\n'
MASTER = 'sign_in = "master"\nmaster_user = "master"\nmaster_password_file = "%s"\n'
AUTHZID = MASTER.replace('"master"\n', '"authzid"\n', 1)


def pair(w):
    return w.dovecot('.'), w.dovecot('/', store='sdbox')


def mailboxes(d, user):
    try:
        return {m['name']: m for m in d.ctl_json('account', user)['mailboxes'] if m['kind'] == 'mailbox'}
    except Exception:  # not known yet
        return {}


def moved(d, user):
    return sorted(n for n, m in mailboxes(d, user).items() if m['state'] == 'moved')


def account_state(d, user):
    try:
        return d.ctl_json('account', user)['state']
    except Exception:
        return None


def order(d, user):
    return [e['unit'] for e in d.events('moved') if e['account'] == user]


def sweeping(w, old, new, more='', start=True, master=None, **options):
    more = {'copy': SWEEP + more}
    if master:
        secret = w.place.write(w.place.folder('secret') + '/master', 'masterpass\n', 0o600)
        more['old.imap'] = master % secret
    return w.wherryd(old, new, more=more, start=start, **options)


def compare_all(d, user, before):
    with d.connect(user) as c:
        after = {name: snapshot.mailbox(c, name, b'SELECT') for name in before}
    for name, was in before.items():
        snapshot.must_equal(snapshot.compare_mailbox(name.decode(), was, after[name]), 'through wherryd')


def snapshots(server, user, names):
    with server.connect(user) as c:
        return {name: snapshot.mailbox(c, name) for name in names}


def test_all_moves_while_signed_in(w):
    """Nobody opens anything: INBOX goes first, then what has a special use, then the rest by name; the account ends as moved,
    is logged and counted once, and every UID is what it was."""
    old, new = pair(w)
    user = w.user(old, new)
    w.filled(old, user, {(): 40, ('Aa',): 20, ('Sent',): 20, ('Zz',): 0, ('Zz', 'deep'): 12})
    names = [b'INBOX', b'INBOX.Aa', b'INBOX.Sent', b'INBOX.Zz.deep']
    before = snapshots(old, user, names)
    d = sweeping(w, old, new, 'movers = 1\n')
    with d.connect(user) as c:
        until(lambda: account_state(d, user) == 'moved', 30, 'the account')
        c.ok(b'NOOP')
    got = order(d, user)
    assert got[0] == 'INBOX' and sorted(got) == ['INBOX', 'INBOX.Aa', 'INBOX.Sent', 'INBOX.Zz', 'INBOX.Zz.deep'], got
    rest = [n for n in got[1:] if n != 'INBOX.Sent']
    assert rest == sorted(rest), got
    with old.connect(user) as c:
        special = [f for f, _, n in c.list() if n == b'INBOX.Sent'][0]
    if b'\\Sent' in special:
        assert got[1] == 'INBOX.Sent', got
    assert len(d.events('account_moved')) == 1, d.events('account_moved')
    compare_all(d, user, before)
    status = d.ctl_json('status')
    assert status['complete'] and status['accounts']['moved'] == 1, status


def test_not_without_a_person(w):
    """Without a master user at the old host it stops with the last session, and goes on with the next."""
    old, new = pair(w)
    user = w.user(old, new)
    w.filled(old, user, {(): 10, **{('F%02d' % i,): 200 for i in range(8)}})
    slow = w.via(new, rate=300000)
    d = sweeping(w, old, slow, 'movers = 1\n', new_tls='none')
    with d.connect(user):
        until(lambda: 'INBOX' in moved(d, user), 60, 'INBOX')
        until(lambda: len(moved(d, user)) >= 2, 60, 'a mailbox')
    # The one in hand may end; then nothing is being copied.
    until(lambda: not any(m['state'] == 'copying' for m in mailboxes(d, user).values()), 60, 'the copy in hand')
    n = len(moved(d, user))
    assert n < 9 and account_state(d, user) == 'moving', moved(d, user)
    slow.relay.rate = None
    assert len(moved(d, user)) == n
    with d.connect(user):
        until(lambda: account_state(d, user) == 'moved', 60, 'the rest')


def master_goes_on(w, old, new, how, sign_in):
    """A minute's visit is enough: the rest moves by itself, through a restart and a kill, with a master user at both hosts;
    and a wrong password, or the master's own, still lets nobody in."""
    users = [w.user(old, new) for _ in range(3)]
    boxes = [('F%d' % i,) for i in range(4)]
    for u in users:
        w.filled(old, u, {(): 20, **{b: 60 for b in boxes}})
    with old.connect(users[0]) as c:
        names = [n for _, _, n in c.list() if b'F' in n] + [b'INBOX']
    before = {u: snapshots(old, u, names) for u in users}
    slow = w.via(new, rate=200000)
    d = sweeping(w, old, slow, master=how, sign_in=sign_in, new_tls='none')
    for u in users:
        with d.connect(u):
            pass
    for name, secret in ((users[0], 'masterpass'), (users[0], 'wrong'), (users[0] + '*master', 'masterpass')):
        with d.connect() as c:
            c.no(b'LOGIN %s %s' % (name.encode(), secret.encode()), b'AUTHENTICATIONFAILED')
    until(lambda: sum(len(moved(d, u)) for u in users) >= 2, 60, 'a beginning')
    d.stop()
    d.start()
    until(lambda: sum(len(moved(d, u)) for u in users) >= 4, 60, 'some after the restart')
    d.kill()
    slow.relay.rate = None
    d.start()
    until(lambda: all(account_state(d, u) == 'moved' for u in users), 90, 'all')
    assert {e['account'] for e in d.events('account_moved')} == set(users), d.events('account_moved')
    for u in users:
        compare_all(d, u, before[u])


def test_master_dovecot(w):
    old, new = pair(w)
    master_goes_on(w, old, new, MASTER, 'master')


def test_master_cyrus(w):
    master_goes_on(w, w.cyrus(), w.dovecot('/', store='sdbox'), AUTHZID, 'authzid')


def test_accounts_take_turns(w):
    """With one mover, a huge account does not hold up a small one; and who opens a mailbox has it at once, though the
    only mover is at work."""
    old, new = pair(w)
    big, small = w.user(old, new), w.user(old, new)
    w.filled(old, big, {(): 10, **{('F%02d' % i,): 40 for i in range(20)}})
    w.filled(old, small, {(): 10, ('A',): 40, ('B',): 40})
    slow = w.via(new, rate=250000)
    d = sweeping(w, old, slow, 'movers = 1\n', new_tls='none')
    with d.connect(big) as b, d.connect(small):
        until(lambda: account_state(d, small) == 'moved', 60, 'the small account')
        assert account_state(d, big) == 'moving', moved(d, big)
        last = b'INBOX.F19'
        before = moved(d, big)
        assert 'INBOX.F19' not in before, before
        b.select(last)
        assert len(moved(d, big)) <= len(before) + 2, (before, moved(d, big))
        slow.relay.rate = None
        until(lambda: account_state(d, big) == 'moved', 60, 'the rest')
    assert d.events('sweep_yields') or len(before) > 0


def at_rate(w, movers, rate, size, count):
    """Seconds and bytes of a copy of `count` mailboxes."""
    old, new = pair(w)
    user = w.user(old, new)
    f = mail.Filler(old, user, seed=movers)
    for i in range(count):
        f.messages(f.create('F%d' % i), 12, size=size)
    f.close()
    d = sweeping(w, old, new, 'movers = %d\nmovers_per_account = %d\nbytes_per_second = %d\n' % (movers, movers + 1, rate))
    with d.connect(user):
        until(lambda: account_state(d, user) == 'moved', 100, 'the account')
    done = [m for m in mailboxes(d, user).values() if m['bytes']]
    first, last = d.events('mirror_done')[0], d.events('account_moved')[0]
    d.stop()
    w.daemons.remove(d)
    return stamp(last) - stamp(first), sum(m['bytes'] for m in done)


def stamp(event):
    return datetime.datetime.fromisoformat(event['ts'].replace('Z', '+00:00')).timestamp()


def test_bytes_per_second(w):
    """The rate holds within a tenth, with one mover and with eight."""
    for movers in (1, 8):
        rate = 2000000
        seconds, size = at_rate(w, movers, rate, 150000, 8)
        got = size / seconds

        assert 0.9 * rate <= got <= 1.1 * rate, (movers, got, seconds, size)


def test_per_host(w):
    """Never more connections than per_host, whatever there is to do; people at the sign-in included."""
    old, new = pair(w)
    users = [w.user(old, new) for _ in range(4)]
    for u in users:
        w.filled(old, u, {(): 20, **{('F%d' % i,): 30 for i in range(4)}})
    relay = w.via(new, rate=400000)
    d = sweeping(w, old, relay, 'movers = 16\nper_host = 3\n', new_tls='none')
    sessions = [d.connect(u) for u in users]
    most = 0
    end = time.monotonic() + 100

    def held():
        return len(relay.relay.pairs) // 2 - len(sessions)
    while not all(account_state(d, u) == 'moved' for u in users):
        assert time.monotonic() < end, [moved(d, u) for u in users]
        most = max(most, held())
        until(lambda: held() <= 3, 2, 'three connections, but for one that says goodbye just now')
    assert 2 <= most <= 6, most
    for s in sessions:
        s.close()


def test_place_for_a_sign_in(w):
    """Large mailboxes that people wait for do not hold up somebody who signs in for the first time."""
    old, new = pair(w)
    busy, late = w.user(old, new), w.user(old, new)
    w.filled(old, busy, {(): 400, ('F',): 400})
    w.filled(old, late, {(): 3})
    relay = w.via(new, rate=100000)
    d = sweeping(w, old, relay, 'movers = 16\nper_host = 2\n', new_tls='none')
    with d.connect(busy) as one, d.connect(busy) as two:
        one.send(b'a SELECT INBOX\r\n')
        two.send(b'a SELECT INBOX.F\r\n')
        two.expect(rb'\* OK \[INPROGRESS')  # it waits for a copy, of which each is on its way if it has the place
        with d.connect(late) as c:
            assert c.ok(b'LIST "" *').lines(b'LIST')
            assert not moved(d, busy), moved(d, busy)


def test_a_limit_of_the_host(w):
    """A host that lets nobody in twice at a time ([LIMIT]) gets what it asks for: the copies wait, and all moves."""
    old = w.dovecot('.', connections=3)
    new = w.dovecot('/', store='sdbox')
    user = w.user(old, new)
    w.filled(old, user, {(): 20, **{('F%d' % i,): 60 for i in range(5)}})
    d = sweeping(w, old, w.via(new, rate=400000), 'movers_per_account = 6\n', new_tls='none')
    with d.connect(user) as c:
        c.select(b'INBOX')
        until(lambda: account_state(d, user) == 'moved', 100, 'the account')
    pushed = d.events('host_pushes_back')
    assert pushed and pushed[0]['slows'] == 'account' and pushed[0]['host'] == 'old', pushed
    assert not d.events('copy_failed'), d.events('copy_failed')


def test_setting_is_reloaded(w):
    """sweep = no stops what has not begun, yes goes on, without a restart."""
    old, new = pair(w)
    user = w.user(old, new)
    w.filled(old, user, {(): 10, **{('F%d' % i,): 40 for i in range(8)}})
    slow = w.via(new, rate=250000)
    d = sweeping(w, old, slow, 'movers = 1\n', new_tls='none')

    def reload(was, to):
        with open(d.conf) as f:
            text = f.read()
        w.place.write(d.conf, text.replace('sweep = ' + was, 'sweep = ' + to))
        n = len(d.events('reloaded'))
        os.kill(d.process.pid, signal.SIGHUP)
        until(lambda: len(d.events('reloaded')) > n, 20, 'the reload')
    with d.connect(user):
        until(lambda: len(moved(d, user)) >= 2, 60, 'a beginning')
        reload('yes', 'no')
        until(lambda: not any(m['state'] == 'copying' for m in mailboxes(d, user).values()), 60, 'the copy in hand')
        slow.relay.rate = None
        n = len(moved(d, user))
        assert n < 9
        with d.connect(user) as c:  # a whole sign-in later nothing has begun
            c.ok(b'NOOP')
        assert len(moved(d, user)) == n and account_state(d, user) == 'moving'
        reload('no', 'yes')
        until(lambda: account_state(d, user) == 'moved', 60, 'the rest')


def test_failing_host_is_left_alone(w):
    """While the new host is away the sweep tries again seldom, and goes on when it is back."""
    old, new = pair(w)
    user = w.user(old, new)
    w.filled(old, user, {(): 10, **{('F%02d' % i,): 5 for i in range(30)}})
    secret_new = w.via(new, rate=100000)
    d = sweeping(w, old, secret_new, 'movers = 4\n', master=MASTER, new_tls='none')
    with d.connect(user):
        until(lambda: len(moved(d, user)) >= 2, 60, 'a beginning')
    secret_new.relay.stop()
    until(lambda: d.events('sweep_rests'), 60, 'the first failure')
    until(lambda: len(d.events('sweep_rests')) >= 3, 60, 'more of them')
    assert len(d.events('copy_failed')) <= 4 * (len(d.events('sweep_rests')) + 1), len(d.events('copy_failed'))
    d.stop()
