"""Mail that arrives around the move: at the old host after it, at the new one before it and while it lasts."""

import os
import random
import time

from wharf import mail, snapshot
from wharf.world import until

SEED = int(os.environ.get('WHERRY_SEED', '0'))
LOOK = {'copy': 'look_seconds = 1\nretry_seconds = 1\nsettle_seconds = 1\n'}


def filled(w, old, new, count, seed):
    """(user, what INBOX on old is like)"""
    user = w.user(old, new)
    f = mail.Filler(old, user, seed=seed)
    f.messages(b'INBOX', count)
    f.gaps(b'INBOX')
    f.close()
    with old.connect(user) as c:
        return user, snapshot.mailbox(c, b'INBOX')


def unit(d, user, name='INBOX'):
    return [m for m in d.ctl_json('account', user)['mailboxes'] if m['wire_name'] == name][0]


def stragglers(d, user, name='INBOX'):
    return unit(d, user, name)['stragglers']


def looked(d, user, count, name=b'INBOX'):
    """Open the mailbox again and again until `count` stragglers are there."""
    def once():
        with d.connect(user) as c:
            c.select(name)
        return stragglers(d, user, name.decode()) >= count
    until(once, 30, '%d stragglers' % count)


def append_late(old, user, first, count, name=b'INBOX'):
    """Messages to the old host with flags and dates; their digests in order."""
    f = mail.Filler(old, user, seed='late-%d' % first)
    f.messages(name, count)
    f.close()
    with old.connect(user) as c:
        return list(snapshot.mailbox(c, name).messages.values())[-count:]


def check_view(d, user, before, late):
    """What was moved stands where it stood, and the stragglers behind it in order, once each."""
    with d.connect(user) as c:
        after = snapshot.mailbox(c, b'INBOX')
    top = max(before.messages)
    moved = {u: m for u, m in after.messages.items() if u <= top}
    assert moved == before.messages, 'what was moved changed'
    tail = [m for u, m in after.messages.items() if u > top]
    assert tail == late, (tail, late)
    return after


def test_stragglers(w):
    """Late mail is seen with its flags and date, once, behind the rest; the old host is not changed."""
    old, new = w.dovecot('.'), w.dovecot('/', store='sdbox')
    user, before = filled(w, old, new, 30, 'late')
    d = w.wherryd(old, new, more=LOOK)
    with d.connect(user) as c:
        c.select(b'INBOX')
        late = append_late(old, user, 1, 12)
        # A session that stays there is told as of any new mail: INBOX is looked at again and again.
        c.noop_until(lambda r: any(int(x[0]) == len(before.messages) + 12 for x in r.lines(b'EXISTS')), 30)
    after = check_view(d, user, before, late)
    assert min(u for u in after.messages if u > max(before.messages)) >= before.next, 'a UID that old may hand out'
    until(lambda: stragglers(d, user) == 12, what='the count')
    # Deleted by the person, and again: only what is new comes.
    with d.connect(user) as c:
        c.select(b'INBOX')
        c.ok(b'UID STORE %d:* +FLAGS.SILENT (\\Deleted)' % (max(before.messages) + 1))
        c.ok(b'UID EXPUNGE %d:*' % (max(before.messages) + 1))
    more = append_late(old, user, 2, 3)
    looked(d, user, 15)
    check_view(d, user, before, more)
    u = unit(d, user)
    assert (u['found'], u['moved'], u['left_behind']) == (len(before.messages), len(before.messages), 0), u
    with old.connect(user) as c:
        there = snapshot.mailbox(c, b'INBOX')
    assert len(there.messages) == len(before.messages) + 15
    assert sum(int(e['messages']) for e in d.events('stragglers')) == 15
    d.stop()
    assert int(d.events('counters')[-1]['stragglers']) == 15


def test_stragglers_refused(w):
    """What the new host refuses goes to the spool, and what comes after it is not held up."""
    old, new = w.dovecot('.'), w.cyrus()
    user, before = filled(w, old, new, 10, 'refused')
    d = w.wherryd(old, new, sign_in='authzid', more=LOOK)
    with d.connect(user) as c:
        c.select(b'INBOX')
    f = mail.Filler(old, user, seed='refused')
    f.append(b'INBOX', mail.message('fine-1'))
    f.append(b'INBOX', b'no header at all', b'\\Flagged')
    f.append(b'INBOX', mail.message('fine-2'))
    f.close()
    looked(d, user, 2)
    with d.connect(user) as c:
        after = snapshot.mailbox(c, b'INBOX')
    assert len(after.messages) == len(before.messages) + 2
    left = d.ctl_json('left-behind')['left_behind']
    assert len(left) == 1 and left[0]['size'] == 16 and '\\Flagged' in left[0]['flags'], left
    u = unit(d, user)
    assert u['found'] == u['moved'] + u['left_behind'] and u['left_behind'] == 1 and u['stragglers'] == 2, u


def test_stragglers_old_host_away(w):
    """Without the old host nobody notices anything, and later the stragglers come after all."""
    old, new = w.dovecot('.'), w.dovecot('/', store='sdbox', extra='# another one')
    user, before = filled(w, old, new, 10, 'away')
    d = w.wherryd(w.via(old), new, old_tls='none', more={
        'copy': LOOK['copy']})
    with d.connect(user) as c:
        c.select(b'INBOX')
        late = append_late(old, user, 3, 2)
        d.old.relay.cut = 0
        c.select(b'INBOX')
        until(lambda: d.events('stragglers_later') or d.events('folders_later'), what='a look to fail')
        c.select(b'INBOX')
        d.old.relay.cut = None
    assert not d.events('copy_failed') and not d.events('select_failed')
    looked(d, user, 2)
    check_view(d, user, before, late)


def test_stragglers_renumbered(w):
    """The old mailbox is another one now: nothing is pulled twice, what comes later is."""
    old, new = w.dovecot('.'), w.dovecot('/', store='sdbox')
    user = w.user(old, new)
    f = mail.Filler(old, user, seed='renumbered')
    name = f.create('Work')
    f.messages(name, 6)
    d = w.wherryd(old, new, more=LOOK)
    with d.connect(user) as c:
        c.select(name)
        before = snapshot.mailbox(c, name)
        bodies = [v for v in range(1, 7)]
        f.c.ok(b'DELETE ' + name)
        time.sleep(1.1)  # Dovecot takes the second for the UIDVALIDITY
        f.c.ok(b'CREATE ' + name)
        f.n = 0
        f.messages(name, len(bodies))  # the same six again, as a client that synchronises would
    def told():
        with d.connect(user) as c:
            c.select(name)
        return d.events('old_uidvalidity_changed')
    until(told, 30, 'the new numbers to be noticed')
    late = mail.message('later')
    f.append(name, late)
    f.close()
    looked(d, user, 1, name)
    with d.connect(user) as c:
        after = snapshot.mailbox(c, name)
    assert len(after.messages) == 7, sorted(after.messages)
    assert list(after.messages.values())[:6] == list(before.messages.values())
    assert len(d.events('old_uidvalidity_changed')) == 1


def test_no_grace(w):
    """Without grace nobody looks; as soon as there is some, what came in between is found."""
    old, new = w.dovecot('.'), w.dovecot('/', store='sdbox')
    user, before = filled(w, old, new, 5, 'no grace')
    d = w.wherryd(old, new, level='debug', more={'copy': LOOK['copy'] + 'grace = 0\n'})
    with d.connect(user) as c:
        c.select(b'INBOX')
        late = append_late(old, user, 4, 1)
        end = time.monotonic() + 2.5  # twice look_seconds and more

        def over():
            c.select(b'INBOX')
            return time.monotonic() > end
        until(over, what='time to pass')
    check_view(d, user, before, [])
    assert not [e for e in d.events('mover_phase') if e['to'] == 'look']
    d.stop()
    with open(d.conf) as f:
        text = f.read()
    w.place.write(d.conf, text.replace('grace = 0', 'grace = 1h'))
    d.start()
    looked(d, user, 1)
    check_view(d, user, before, late)


def kill_looks(w, new, kills, seed, sign_in='master'):
    """Kill the daemon at random moments while it brings stragglers over."""
    old = w.dovecot('.')
    user, before = filled(w, old, new, 10, 'killed %d' % seed)
    d = w.wherryd(old, new, sign_in=sign_in, more={'copy': LOOK['copy'].replace('settle_seconds = 1', 'settle_seconds = 0')})
    with d.connect(user) as c:
        c.select(b'INBOX')
    r = random.Random(seed + SEED * 100)
    late, interrupted, n, most = [], 0, 0, 0.1
    while n < kills or (interrupted < 3 and n < 5 * kills):
        done = len(late)
        late += append_late(old, user, 100 + n, 60)
        c = d.connect(user)
        c.select(b'INBOX')
        until(lambda: stragglers(d, user) > done, 30, 'the first of them')
        time.sleep(r.uniform(0, most))
        d.kill()
        c.close()
        if stragglers(d, user) < len(late):
            interrupted += 1
        else:
            most /= 2  # it is faster than that here
        d.start()
        n += 1
    looked(d, user, len(late))
    check_view(d, user, before, late)
    assert stragglers(d, user) == len(late)
    assert interrupted >= 3, 'only %d of %d kills came in the middle' % (interrupted, n)


def test_kill_during_looks(w):
    kill_looks(w, w.dovecot('/', store='sdbox'), 15, 1)


def test_kill_during_looks_to_cyrus(w):
    kill_looks(w, w.cyrus(), 8, 2, sign_in='authzid')


def test_kill_during_looks_without_uidplus(w):
    kill_looks(w, w.dovecot('/', capability='IMAP4rev1 SASL-IR NAMESPACE'), 8, 3)


def names(c):
    return {name for _, _, name in c.list()}


def test_new_folder_on_old(w):
    """A client with stale DNS makes a mailbox on old: it is taken over as if it had always been there."""
    old, new = w.dovecot('.'), w.dovecot('/', store='sdbox')
    user = w.user(old, new)
    f = mail.Filler(old, user, seed='folders')
    gone = f.create('Deleted')
    f.messages(gone, 2)
    d = w.wherryd(old, new, more=LOOK)
    with d.connect(user) as c:
        c.select(b'INBOX')
        c.ok(b'DELETE ' + gone)
        c.ok(b'CREATE ' + old.view('Both'))
        c.append(old.view('Both'), mail.message('made on new'))
        both = f.create('Both', subscribe=False)
        f.messages(both, 3)
        name = f.create('Late', 'Ärger')
        f.messages(name, 7)
        until(lambda: name in names(c), 30, 'the new folder')
        with old.connect(user) as o:
            before = snapshot.mailbox(o, name)
        after = snapshot.mailbox(c, name)
        snapshot.must_equal(snapshot.compare_mailbox('Late', before, after), 'the new folder')
        assert after.next > before.next
        assert name in {n for _, _, n in c.list(b'LSUB')}
        assert gone not in names(c), 'a deleted mailbox came back'
        # One that was made on new as well gets what is in the other one.
        looked(d, user, 3, both)
        assert len(snapshot.mailbox(c, both).messages) == 4
        f.messages(name, 1)
        looked(d, user, 1, name)
        assert len(snapshot.mailbox(c, name).messages) == 8
    f.close()
    d.stop()
    d.start()
    with d.connect(user) as c:
        assert {name, both} <= names(c) and gone not in names(c)
        assert len(snapshot.mailbox(c, both).messages) == 4
        assert len(snapshot.mailbox(c, name).messages) == 8


def test_new_folders_and_kills(w):
    """The daemon is killed while new folders are taken over; each is there in the end, once, with its mail."""
    old, new = w.dovecot('.'), w.dovecot('/', store='sdbox')
    user = w.user(old, new)
    d = w.wherryd(old, new, more={'copy': 'look_seconds = 1\nretry_seconds = 1\nsettle_seconds = 0\n'})
    with d.connect(user) as c:
        c.select(b'INBOX')
    f = mail.Filler(old, user, seed='folders and kills')
    r = random.Random(SEED * 100 + 9)
    made = []
    for n in range(8):
        made.append(f.create('Late%d' % n))
        f.messages(made[-1], 3)
        d.kill()
        d.start()  # looks for folders at the next sign-in
        with d.connect(user):
            time.sleep(r.uniform(0.005, 0.1))
            d.kill()
        d.start()
    f.close()
    with d.connect(user) as c:
        until(lambda: set(made) <= names(c), 30, 'all of them')
        for name in made:
            assert len(snapshot.mailbox(c, name, b'SELECT').messages) == 3, name
        assert len(names(c) & set(made)) == 8 and len([n for n in names(c) if b'Late' in n]) == 8, names(c)


def test_new_uidvalidity(w):
    """The mailbox is made anew on the new host: a higher UIDVALIDITY and its own UIDs, everywhere, for good; late mail goes on."""
    old, new = w.dovecot('.'), w.dovecot('/', store='sdbox')
    user = w.user(old, new)
    f = mail.Filler(old, user, seed='anew')
    name = f.create('Work')
    f.messages(name, 9)
    f.gaps(name)
    d = w.wherryd(old, new, more=LOOK)
    with d.connect(user) as c:
        c.select(name)
        before = snapshot.mailbox(c, name)
        c.select(b'INBOX')
        with new.connect(user) as n:
            n.ok(b'DELETE Work')
            time.sleep(1.1)  # Dovecot takes the second for the UIDVALIDITY
            n.ok(b'CREATE Work')
            for k in range(3):
                n.append(b'Work', mail.message('anew-%d' % k))
            direct = snapshot.mailbox(n, b'Work')
        f.messages(name, 2)  # late
        after = snapshot.mailbox(c, name)
        assert after.validity > before.validity and list(after.messages)[:3] == list(direct.messages)
        assert d.events('uidvalidity_changed') and c.ok(b'NOOP')
        looked(d, user, 2, name)
        again = snapshot.mailbox(c, name)
        assert again.validity == after.validity and len(again.messages) == 5, again.messages
        status = c.ok(b'STATUS ' + name + b' (UIDVALIDITY UIDNEXT MESSAGES)').lines(b'STATUS')[0][1]
        values = {status[i]: int(status[i + 1]) for i in range(0, len(status), 2)}
        assert values[b'UIDVALIDITY'] == after.validity and values[b'UIDNEXT'] > max(again.messages), values
        assert values[b'MESSAGES'] == 5
    f.close()
    d.stop()
    d.start()
    with d.connect(user) as c:
        assert snapshot.mailbox(c, name).messages == again.messages
        assert snapshot.mailbox(c, name).validity == again.validity
    assert len(d.events('uidvalidity_changed')) == 1


def test_stragglers_where_nobody_looks(w):
    """Late mail in mailboxes that nobody opens: it comes while the person is signed in, however many mailboxes there are."""
    old, new = w.dovecot('.'), w.dovecot('/', store='sdbox')
    user = w.user(old, new)
    f = mail.Filler(old, user, seed='nobody looks')
    made = [f.create('Box%02d' % n) for n in range(80)]
    d = w.wherryd(old, new, more=LOOK)
    with d.connect(user) as c:
        for name in made:
            c.select(name)
        c.select(b'INBOX')
        f.messages(made[7], 2)
        f.messages(made[70], 1)
        until(lambda: stragglers(d, user, made[7].decode()) == 2 and stragglers(d, user, made[70].decode()) == 1, 40,
              'late mail elsewhere')
        assert len(snapshot.mailbox(c, made[7]).messages) == 2 and len(snapshot.mailbox(c, made[70]).messages) == 1
    f.close()
