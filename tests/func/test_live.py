"""A large mailbox moves while people work in it: no command fails, nothing is lost, and everybody stays connected."""

import os
import random
import threading
import time

from wharf import mail, snapshot
from wharf.busy import Busy, Truth
from wharf.place import Trouble
from wharf.world import until

SEED = int(os.environ.get('WHERRY_SEED', '0'))
FLAGS = [f for f in mail.FLAGS if b'Deleted' not in f]
# Slow enough that clients work on old for a while.
LIVE = {'copy': 'wait = 0\nretry_seconds = 1\nsettle_seconds = 1\nbytes_per_second = 300K\n'}


def filled(w, old, new, count, seed):
    user = w.user(old, new)
    f = mail.Filler(old, user, seed=seed)
    f.messages(b'INBOX', count, FLAGS, 3000)
    f.gaps(b'INBOX', 0.1)
    f.close()
    with old.connect(user) as c:
        return user, snapshot.mailbox(c, b'INBOX')


def state(d, user):
    try:
        return [m['state'] for m in d.ctl_json('account', user)['mailboxes'] if m['name'] == 'INBOX'][0]
    except (IndexError, Trouble):
        return None  # it has not shown up yet


def compare(d, new, user, truth):
    """Through wherryd as everybody believes, and on new the same messages in the same order."""
    with d.connect(user) as c:
        after = snapshot.mailbox(c, b'INBOX')
    truth.check(after)
    with new.connect(user) as c:
        direct = snapshot.mailbox(c, b'INBOX')
    assert [(m.digest, m.flags) for m in direct.messages.values()] == [(m.digest, m.flags) for m in after.messages.values()]
    u = [m for m in d.ctl_json('account', user)['mailboxes'] if m['name'] == 'INBOX'][0]
    assert u['found'] == u['moved'] + u['left_behind'] + u['vanished'] and u['left_behind'] == 0, u
    return after


def work(w, old, new, seed, sign_in='master', clients=({}, {}), count=400, after=1.0):
    """Clients that work before, while and after INBOX moves."""
    user, before = filled(w, old, new, count, 'live %s' % seed)
    d = w.wherryd(old, new, sign_in=sign_in, more=LIVE)
    truth = Truth(before)
    end = threading.Barrier(len(clients))
    busy = [Busy(d, user, truth, '%s %d' % (seed, i), (i, len(clients)), together=end, **options)
            for i, options in enumerate(clients)]
    try:
        until(lambda: state(d, user) == 'moved' or any(b.error for b in busy), 90, 'the mailbox to move')
        time.sleep(after)
    finally:
        for b in busy:
            b.ended.set()
    for b in busy:
        b.stop()
    carried = d.events('session_carried')
    assert len(carried) == len(clients), (carried, d.events('carry_failed'))
    assert sum(b.commands for b in busy) > 50
    got = compare(d, new, user, truth)
    assert got.validity == before.validity
    return d


def test_dovecot_to_dovecot(w):
    old, new = w.dovecot('.'), w.dovecot('/', store='sdbox')
    for seed in range(3):
        work(w, old, new, seed + 100 * SEED, clients=({}, {'numbers': False}, {'idles': False})).stop()


def test_qresync_and_compress(w):
    old, new = w.dovecot('.'), w.dovecot('/', store='sdbox')
    work(w, old, new, 10 + 100 * SEED, clients=({'qresync': True}, {'compress': True}, {'qresync': True, 'compress': True}))


def test_courier_to_dovecot(w):
    """One client appends: Courier tells two that do so at once the same UID."""
    old, new = w.courier(), w.dovecot('/', store='sdbox')
    work(w, old, new, 20 + 100 * SEED, clients=({}, {'idles': False, 'appends': False}))


def test_dovecot_to_cyrus(w):
    old, new = w.dovecot('.'), w.cyrus()
    work(w, old, new, 30 + 100 * SEED, sign_in='authzid', clients=({}, {'numbers': False}))


def test_cyrus_to_dovecot(w):
    old, new = w.cyrus(), w.dovecot('/', store='sdbox')
    work(w, old, new, 40 + 100 * SEED, clients=({}, {'numbers': False}))


def test_killed(w):
    """The daemon is killed again and again while clients work; they come back, and what they were told is true."""
    old, new = w.dovecot('.'), w.dovecot('/', store='sdbox')
    user, before = filled(w, old, new, 400, 'killed live')
    d = w.wherryd(old, new, more=LIVE)
    truth = Truth(before)
    r = random.Random(50 + 100 * SEED)
    busy = [Busy(d, user, truth, 'killed %d %d' % (i, SEED), (i, 2), lives=True) for i in range(2)]
    kills = 0
    try:
        while kills < 30 and state(d, user) != 'moved':
            time.sleep(r.uniform(0.2, 1.5))
            d.kill()
            d.start()
            kills += 1
        until(lambda: state(d, user) == 'moved' or any(b.error for b in busy), 60, 'the mailbox to move')
        time.sleep(1)
    finally:
        for b in busy:
            b.ended.set()
    for b in busy:
        b.stop()
    assert kills >= 3, kills
    compare(d, new, user, truth)


for f in (test_dovecot_to_dovecot, test_courier_to_dovecot, test_killed):
    f.limit = 240
