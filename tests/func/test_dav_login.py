"""The first IMAP login moves calendars and contacts as well; the counters and wherryctl show them beside mailboxes."""

from wharf import davdata
from wharf.dav import CyrusDav, Radicale
from wharf.davworld import Person, must_equal
from wharf.world import until


def test_imap_login_moves_them(w):
    p = Person(w, w.server(Radicale), w.server(CyrusDav), count=20)
    before = p.at_old()
    old, new = w.dovecot('.'), w.dovecot('/', store='sdbox')
    w.filled(old, p.user, {(): 4})
    d = w.wherryd(old, new, dav=(p.old, p.new, {}), more={'copy': 'sweep = yes\n'})
    with d.connect(p.user) as c:
        c.select(b'INBOX')
        p.moved(d)
    must_equal(davdata.compare(before, p.view(d)), 'the view')
    p.must_hold(before)
    p.uninvited()
    account = d.ctl_json('account', p.user)
    assert [m for m in account['mailboxes'] if m['name'] == 'INBOX'], account
    assert sum(u['moved'] for u in account['collections']) == p.count
    until(lambda: d.ctl('status'), 5)
    d.stop()
    w.daemons.remove(d)
    last = d.events('counters')[-1]
    assert last['items_moved'] == str(p.count), last


def test_other_password_at_the_calendar_server(w):
    """The mail moves all the same."""
    p = Person(w, w.server(Radicale), w.server(CyrusDav), count=3)
    user = w.user()
    p.old.add_user(user, 'other')
    p.new.add_user(user, 'other')
    old, new = w.dovecot('.'), w.dovecot('/', store='sdbox')
    w.filled(old, user, {(): 4})
    d = w.wherryd(old, new, dav=(p.old, p.new, {}))
    with d.connect(user) as c:
        c.select(b'INBOX')
    until(lambda: [e for e in d.events('moved') if e.get('account') == user], 20, 'INBOX to move')
