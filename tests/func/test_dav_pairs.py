"""Calendars and contacts between real servers: clients in sync with the old one find nothing to transfer through wherryd and go on
from there, what arrives is what was there, nobody is invited, and nothing of the new server is seen."""

from wharf import davdata, webdav
from wharf.dav import CyrusDav, Radicale, Xandikos
from wharf.davclients import fresh_event
from wharf.davworld import Person, dropped, leaks, must_equal


def servers(w):
    return {'radicale': lambda: w.server(Radicale), 'xandikos': lambda: w.server(Xandikos), 'cyrus': lambda: w.server(CyrusDav),
            'domains': lambda: w.server(CyrusDav, name='cyrus-two', layout='domains')}


def pair(old, new, **options):
    def test(w):
        moves(w, Person(w, servers(w)[old](), servers(w)[new]()), options)
    test.limit = 240
    return test


def moves(w, p, options):
    clients = p.everybody()
    before = p.at_old()
    d = p.daemon(dav=options)
    p.cutover(d)
    said = b''
    for _ in range(2):  # while it moves, and when it has moved
        for c in clients:
            p.recorder.mark()
            c.run()
            p.quiet(c)
            said += p.recorder.text()
        units = p.touch(d)
    found = sum(u['found'] for u in units)
    assert found == sum(u['moved'] for u in units) == p.count, units
    must_equal(davdata.compare(before, p.view(d), ignore=dropped(p.new)), 'the view afterwards')
    p.must_hold(before)
    must_equal(davdata.compare(before, p.at_old()), 'the old host afterwards')
    p.uninvited()
    assert not leaks(said, p, before), '\n'.join(leaks(said, p, before)[:10])
    edits(p, d, clients)
    said = p.recorder.text()
    p.uninvited()
    assert not leaks(said, p, before), '\n'.join(leaks(said, p, before)[:10])


def edits(p, d, clients):
    """Each side edits, everybody sees it, once."""
    vdirsyncer, python, davx5, thunderbird = clients
    r = p.recorder
    r.mark()
    # a client makes, changes and deletes
    davx5.put(p.work, 'from davx5.ics', fresh_event('Made by DAVx5'))
    href = sorted(thunderbird.state[p.work]['items'])[0]
    body = thunderbird.state[p.work]['items'][href][1]
    thunderbird.change(p.work, href, body.replace('SUMMARY:', 'SUMMARY:Changed ', 1).encode())
    card = sorted(davx5.state[p.people]['items'])[0]
    davx5.delete(p.people, card)
    there = p.at_new()
    names = {webdav.decoded(h).rsplit('/', 1)[1]: x[1] for h, x in p.at(there, webdav.decoded(p.work)).items.items()}
    assert 'Made by DAVx5' in names['from davx5.ics']
    assert 'Changed ' in names[webdav.decoded(href).rsplit('/', 1)[1]]
    assert webdav.decoded(card).rsplit('/', 1)[1] not in {
        webdav.decoded(h).rsplit('/', 1)[1] for h in p.at(there, webdav.decoded(p.people)).items}
    # the others see it; who made the change may fetch it again, since servers rewrite
    for c, down in ((vdirsyncer, 2), (python, 2), (davx5, 2), (thunderbird, 2)):
        before = len(r.downloads())
        c.run()
        n = len(set(r.downloads()[before:]))
        assert n == down, '%s: %d items came: %s' % (c.name, n, r.downloads()[before:])
    assert not vdirsyncer.find('nothing like it', 'work') and vdirsyncer.find('Made by DAVx5', 'work')
    assert davx5.gone == 0 and thunderbird.gone == 1
    # and the other way: somebody at the new host itself
    with p.direct_new() as c:
        work = p.at(there, webdav.decoded(p.work)).path
        assert c.put(work + 'from%20new.ics', fresh_event('Made on new'), Scheduling_Enabled='F').status == 201
    for c in clients:
        before = len(r.downloads())
        c.run()
        n = r.downloads()[before:]
        assert len(n) == 1 and webdav.decoded(n[0]).endswith('/from new.ics'), '%s: %s' % (c.name, n)
    assert vdirsyncer.find('Made on new', 'work')
    # vdirsyncer and python-caldav upload
    path = vdirsyncer.find('Made on new', 'work')
    with open(path, 'rb') as f:
        text = f.read()
    with open(path, 'wb') as f:
        f.write(text.replace(b'Made on new', b'Changed by vdirsyncer'))
    vdirsyncer.run()
    python.run(add=fresh_event('Made by python-caldav'), calendar='work')
    thunderbird.run()
    bodies = [x[1] for x in thunderbird.state[p.work]['items'].values()]
    for text in ('Changed by vdirsyncer', 'Made by python-caldav'):
        assert sum(text in b for b in bodies) == 1, text
    for c in clients:
        c.run()
        mark = len(r.exchanges)
        c.run()
        late = [x for x in r.exchanges[mark:] if x.items() or x in r.writes()]
        assert not late, '%s does not come to rest: %s' % (c.name, late)
    p.polite()


test_radicale_to_xandikos = pair('radicale', 'xandikos')
test_xandikos_to_radicale = pair('xandikos', 'radicale')
test_radicale_to_cyrus = pair('radicale', 'cyrus')
test_cyrus_to_radicale = pair('cyrus', 'radicale')
test_cyrus_to_cyrus = pair('domains', 'cyrus')
test_cyrus_to_cyrus_back = pair('cyrus', 'domains')
