"""Whatever breaks during a copy, in the end every message is there once."""

import os
import random
import signal
import threading
import time

from wharf import mail, snapshot
from wharf.world import until

KILLS = 50
# Another number kills at other moments; the tests say which they took.
SEED = int(os.environ.get('WHERRY_SEED', '0'))


def account(w, old, new, count, seed, size=0):
    user = w.user(old, new)
    f = mail.Filler(old, user, seed=seed)
    f.messages(b'INBOX', count, size=size)
    f.gaps(b'INBOX', 0.1)
    f.close()
    with old.connect(user) as c:
        return user, snapshot.mailbox(c, b'INBOX')


def state(d, user):
    try:
        return [m['state'] for m in d.ctl_json('account', user)['mailboxes'] if m['name'] == 'INBOX'][0]
    except Exception:
        return None


def select_in_background(d, user):
    """Sign in and SELECT in a thread; returns (thread, list that gets the reply)."""
    got = []

    def go():
        try:
            with d.connect(user) as c:
                got.append(c.cmd(b'SELECT INBOX'))
        except Exception as e:
            got.append(e)
    t = threading.Thread(target=go, daemon=True)
    t.start()
    return t, got


def compare(w, d, user, before):
    with d.connect(user) as c:
        after = snapshot.mailbox(c, b'INBOX', b'SELECT')
    snapshot.must_equal(snapshot.compare_mailbox('INBOX', before, after), 'through wherryd')
    with d.new.connect(user) as c:
        direct = snapshot.mailbox(c, b'INBOX')
    a = [m.digest for m in before.messages.values()]
    assert [m.digest for m in direct.messages.values()] == a, 'the new host holds something else than the view'


def kill_many(w, new, kills, seed, sign_in='master', old=None):
    """Kill the daemon at `kills` moments of copies of a few hundred messages; when one has come to its end, it is
    compared and the next begins."""
    seed += SEED * 100
    r = random.Random(seed)
    old = old or w.dovecot('.')
    # How long an undisturbed copy takes here, sign-in included.
    user, before = account(w, old, new, 300, 'undisturbed')
    d = w.wherryd(old, new, sign_in=sign_in, level='info')
    start = time.monotonic()
    with d.connect(user) as c:
        assert c.cmd(b'SELECT INBOX').ok
    whole = time.monotonic() - start
    compare(w, d, user, before)
    done = accounts = 0
    while done < kills:
        accounts += 1
        user, before = account(w, old, new, 300, 'crash-%s-%d' % (seed, accounts))
        for _ in range(12):
            t, got = select_in_background(d, user)
            time.sleep(r.uniform(0.01, whole))
            d.kill()
            t.join(20)
            ended = bool(got) and getattr(got[0], 'ok', False)
            d.start()
            if ended:
                # Less is left to do after each kill, and the machine may have been busy when `whole` was taken.
                whole = max(whole * 0.85, 0.05)
                break
            done += 1
            if done == kills:
                break
        with d.connect(user) as c:
            reply = c.cmd(b'SELECT INBOX')
            assert reply.ok, reply
        compare(w, d, user, before)
    assert accounts <= kills, 'nearly every copy ended before it was killed'


def test_kill_50(w):
    kill_many(w, w.dovecot('/', store='sdbox'), KILLS, 1)


def test_kill_without_multiappend(w):
    new = w.dovecot('/', capability='IMAP4rev1 SASL-IR LITERAL+ ENABLE IDLE UIDPLUS UNSELECT CHILDREN NAMESPACE MOVE')
    kill_many(w, new, 12, 2)


def test_kill_without_uidplus(w):
    kill_many(w, w.dovecot('/', capability='IMAP4rev1 SASL-IR NAMESPACE'), 12, 3)


def test_kill_to_cyrus(w):
    kill_many(w, w.cyrus(), 10, 4, sign_in='authzid')


test_kill_50.limit = 240


def finish(w, d, user, seconds=60):
    """Sign in and select until it works, as a client would."""
    def once():
        try:
            with d.connect(user) as c:
                return c.cmd(b'SELECT INBOX').ok and state(d, user) == 'moved'
        except (OSError, EOFError):
            return False
        except Exception:
            return False
    until(once, seconds, 'the copy to end at last')


def test_connection_to_new_breaks(w):
    """The connection to the new host is reset at twelve places of a copy."""
    old, new = w.dovecot('.'), w.dovecot('/', store='sdbox')
    user, before = account(w, old, new, 200, 'broken road')
    total = sum(m.size for m in before.messages.values())
    d = w.wherryd(old, w.via(new), new_tls='none', more={'copy': 'retry_seconds = 1\n'})
    relay = d.new.relay
    r = random.Random(5 + SEED * 100)
    for n in range(12):
        relay.cut = relay.up + r.randint(100, total // 6)
        t, got = select_in_background(d, user)
        t.join(60)
        if got and getattr(got[0], 'ok', False) and relay.cut is not None:
            break
    relay.cut = None
    finish(w, d, user)
    d.new = new
    compare(w, d, user, before)


def test_connection_to_old_breaks(w):
    old, new = w.dovecot('.'), w.dovecot('/', store='sdbox')
    user, before = account(w, old, new, 200, 'broken start', size=8000)
    d = w.wherryd(w.via(old), new, old_tls='none', more={'copy': 'retry_seconds = 1\n'})
    relay = d.old.relay
    r = random.Random(6 + SEED * 100)
    for n in range(8):
        t, got = select_in_background(d, user)
        time.sleep(r.uniform(0.02, 0.3))
        relay.cut = 0  # at its next byte
        t.join(60)
    relay.cut = None
    finish(w, d, user)
    compare(w, d, user, before)


def test_late_arrivals(w):
    """The daemon dies, and what it had sent reaches the new host's mailbox only when the next one is at work already.

    The wait (settle_seconds) and the look for late arrivals before the switch both guard this; either alone passes here."""
    old = w.dovecot('.')
    new = w.dovecot('/', capability='IMAP4rev1 SASL-IR LITERAL+ IDLE UIDPLUS NAMESPACE', extra='# halted by its test')
    user, before = account(w, old, new, 400, 'late', size=4000)
    d = w.wherryd(old, new, more={'copy': 'settle_seconds = 3\n'})
    t, got = select_in_background(d, user)
    until(lambda: new_files(new, user), what='the first message to arrive')
    halted = new.sessions()
    for pid in halted:
        os.kill(pid, signal.SIGSTOP)
    try:
        stored = len(new_files(new, user))
        time.sleep(0.3)  # what is on its way fills the sockets
        d.kill()
        t.join(20)
        d.start()
        t, got = select_in_background(d, user)
        # Long enough for a copy that does not wait to come to its end; shorter than settle_seconds.
        end = time.monotonic() + 1.5
        until(lambda: d.events('moved') or time.monotonic() > end, what='the next copy to wait')
    finally:
        for pid in halted:
            os.kill(pid, signal.SIGCONT)
    t.join(60)
    assert got and got[0].ok, got
    assert stored < len(before.messages), 'all had arrived before the server was halted'
    compare(w, d, user, before)


def new_files(server, user):
    """The message files of INBOX in a Maildir on the new host."""
    top = '%s/%s/Maildir' % (server.mail, user)
    return ['%s/%s' % (d, n) for d in ('cur', 'new') if os.path.isdir(top + '/' + d) for n in os.listdir(top + '/' + d)]


def test_new_host_crashes(w):
    """The new host goes away with all its processes and comes back."""
    old, new = w.dovecot('.'), w.dovecot('/', store='sdbox', extra='# crashed by its test')
    user, before = account(w, old, new, 250, 'new crashes')
    d = w.wherryd(old, new, more={'copy': 'retry_seconds = 1\n'})
    r = random.Random(7 + SEED * 100)
    for n in range(4):
        t, got = select_in_background(d, user)
        time.sleep(r.uniform(0.05, 0.4))
        new.crash()
        t.join(60)
        new.start()
    finish(w, d, user)
    compare(w, d, user, before)


def test_orderly_end_during_a_copy(w):
    """SIGTERM: sessions hear BYE, the exit code is 0, the next start goes on."""
    old, new = w.dovecot('.'), w.dovecot('/', store='sdbox')
    user, before = account(w, old, new, 120, 'orderly')
    d = w.wherryd(old, w.via(new, rate=150000), new_tls='none')
    with d.connect(user) as c, d.connect(user) as idle:
        c.start(b'SELECT INBOX')
        until(lambda: d.new.relay.up > 50000, what='the copy to begin')
        start = time.monotonic()
        d.stop()
        assert time.monotonic() - start < 15
        assert any(x.text.startswith(b'* BYE') for x in idle.expect_eof())
    d.new.relay.rate = None
    d.start()
    finish(w, d, user)
    d.new = new
    compare(w, d, user, before)
