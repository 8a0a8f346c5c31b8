"""The daemon dies right before, in the middle of, and right after each thing that it does to the world: bytes sent to anybody,
commits of the store, steps of the spool. However it was, the next start ends the move with every message once.

A daemon built with --enable-crash-points counts them and dies at one. Here a sample is taken, by a seed (WHERRY_SEED);
WHERRY_CRASH=all takes every one of a small mailbox, and 200 of a large one."""

import fcntl
import os
import random
import signal
import subprocess
import sys

from wharf import mail, snapshot
from wharf.daemon import Wherryd
from wharf.servers import MAIL_ID
from wharf.world import until

from test_crash import state
from test_pairs import left_uids, totals

ALL = os.environ.get('WHERRY_CRASH') == 'all'
SEED = int(os.environ.get('WHERRY_SEED', '0'))
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def built(w):
    """The folder of such a build, below that of the build under test."""
    crash = os.path.join(w.bin, 'crash')
    with open(crash + '.lock', 'w') as lock:  # tests run side by side
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run([TOP + '/contrib/build', crash, '--enable-crash-points', 'CFLAGS=-O1 -g'], check=True, timeout=400)
    return crash


class Case:
    """An account to move, which has something of everything."""

    def __init__(self, w, old, new, name, count=8, batch=3, sign_in='master', foreign=True):
        self.w, self.old, self.new = w, old, new
        self.user = w.user(old, new)
        f = mail.Filler(old, self.user, seed=name)
        f.messages(b'INBOX', count)
        f.gaps(b'INBOX', 0.2)
        f.messages(f.create('A'), 1)
        f.close()
        # Refused by the new host, in the middle of a batch.
        mail.into_maildir(old.maildir(self.user), b'', MAIL_ID, 1)
        with old.connect(self.user) as c:
            c.append(b'INBOX', mail.message(name + ' last'), b'\\Answered key', mail.DATES[1], plus=True)
            self.before = snapshot.mailbox(c, b'INBOX')
        self.empty = [u for u, m in self.before.messages.items() if not m.size]
        assert len(self.empty) == 1, self.before.messages
        self.foreign = mail.message(name + ' foreign') if foreign else None
        if foreign:
            with new.connect(self.user) as c:
                c.append(b'INBOX', self.foreign)
        self.d = Wherryd(w.place, built.folder, old, new, level='info', sign_in=sign_in, more={
            'copy': 'batch_messages = %d\nretry_seconds = 1\nsettle_seconds = 1\ngrace = 0\n' % batch})
        w.daemons.append(self.d)

    def dies_at(self, n):
        """True when it did. False: it came to its end before."""
        d = self.d
        d.env = {'WHERRY_CRASH_AT': str(n)}
        try:
            d.start()
            with d.connect(self.user, timeout=20) as c:
                assert c.cmd(b'SELECT INBOX').ok
                c.ok(b'FETCH 1:* FLAGS')
                c.ok(b'LOGOUT')
        except Exception:
            pass  # whatever the client sees of it
        if d.process.alive():
            d.process.child.send_signal(signal.SIGTERM)
        code = d.process.child.wait(30)
        d.process.stop()
        d.process = None
        assert code in (0, -signal.SIGKILL), code
        return code != 0

    def ends_well(self, where):
        d = self.d
        d.env = {}
        d.start()

        def selects():
            try:
                with d.connect(self.user) as c:
                    return c.cmd(b'SELECT INBOX').ok and state(d, self.user) == 'moved'
            except Exception:
                return False
        until(selects, 60, 'the mailbox to move')
        with d.connect(self.user) as c:
            after = snapshot.mailbox(c, b'INBOX', b'SELECT')
        left = left_uids(d).get(b'INBOX', {})
        assert sorted(left) == self.empty, (where, left)
        behind = []
        if self.foreign:
            last = max(after.messages)
            behind = [after.messages.pop(last)]
            after.exists -= 1
            assert last > max(self.before.messages) and behind[0].size == len(self.foreign), (where, last, behind)
        snapshot.must_equal(snapshot.compare_mailbox('INBOX', self.before, after, left=left), where)
        with self.new.connect(self.user) as c:
            direct = snapshot.mailbox(c, b'INBOX')
        want = sorted([m.digest for u, m in self.before.messages.items() if u not in left] + [m.digest for m in behind])
        assert sorted(m.digest for m in direct.messages.values()) == want, where
        n = len(self.before.messages)
        assert totals(d.ctl_json('status')) == (n, n - 1, 1, 0), (where, d.ctl_json('status'))
        assert os.path.getsize(left[self.empty[0]]['file']) == 0, where
        d.stop()
        self.w.daemons.remove(d)
        self.w.place.give_back(d.port, d.tls_port, d.smtp_port, d.smtps_port)


def points(make, chosen, most=2000):
    """Die at each of `chosen`, an iterator; how many were there."""
    done = 0
    for n in chosen:
        assert done < most
        case = make(n)
        if not case.dies_at(n):
            case.ends_well('after an undisturbed run')
            return done
        case.ends_well('killed at point %d' % n)
        done += 1
    return done


def sample(w, old, new, name, full, some, **options):
    """`some` of the points; with WHERRY_CRASH=all `full` of them, 0 for every one."""
    built.folder = built(w)
    whole = count_points(Case(w, old, new, name + ' whole', **options))
    r = random.Random('%s %d' % (name, SEED))
    if ALL and not full:
        chosen = range(1, 100000)
    else:
        chosen = sorted(r.sample(range(1, whole + 1), min(whole, full if ALL else some)))
    done = points(lambda n: Case(w, old, new, '%s %d' % (name, n), **options), chosen)
    print('%s: died at %d points of some %d' % (name, done, whole), file=sys.stderr)
    assert done >= (whole if ALL and not full else min(whole, full if ALL else some)) * 0.8, (done, whole)


def count_points(case):
    """From a run that is told to say so at its end."""
    d = case.d
    path = d.dir + '/points'
    d.env = {'WHERRY_CRASH_COUNT': path}
    d.start()
    with d.connect(case.user) as c:
        c.select(b'INBOX')
        c.ok(b'FETCH 1:* FLAGS')
        c.ok(b'LOGOUT')
    d.stop()
    case.ends_well('undisturbed')
    with open(path) as f:
        return int(f.read())


def test_all_at_once(w):
    """MULTIAPPEND and UIDPLUS."""
    sample(w, w.dovecot('.'), w.dovecot('/', store='sdbox'), 'multi', 0, 20)


def test_one_by_one(w):
    """Neither MULTIAPPEND nor LITERAL+: more steps."""
    new = w.dovecot('/', capability='IMAP4rev1 SASL-IR ENABLE IDLE UIDPLUS UNSELECT CHILDREN NAMESPACE MOVE')
    sample(w, w.dovecot('.'), new, 'single', 0, 14)


def test_without_uidplus(w):
    sample(w, w.dovecot('.'), w.dovecot('/', capability='IMAP4rev1 SASL-IR LITERAL+ NAMESPACE'), 'untold', 0, 10, foreign=False)


def test_to_cyrus(w):
    sample(w, w.dovecot('.'), w.cyrus(), 'cyrus', 0, 8, sign_in='authzid')


def test_large(w):
    sample(w, w.dovecot('.'), w.dovecot('/', store='sdbox'), 'large', 200, 6, count=400, batch=20)


for f in (test_all_at_once, test_one_by_one, test_without_uidplus, test_to_cyrus, test_large):
    f.limit = 3600 if ALL else 240
