"""The clients against the servers alone: in sync means that a second run transfers nothing, and an edit is seen by the next."""

from wharf import davdata, webdav
from wharf.davclients import Davx5, PythonCaldav, Thunderbird, Vdirsyncer, fresh_event
from wharf.dav import CyrusDav, Radicale, Xandikos
from wharf.davwire import Recorder


def filled(w, server, count=30):
    user = w.user(server)
    name = server.dav_user(user)
    with webdav.Client(server.dav_port, name) as c:
        work, people = server.calendars(user) + 'work/', server.contacts(user) + 'people/'
        c.mkcalendar(work, 'Work', components=('VEVENT', 'VTODO'))
        c.mkbook(people, 'People')
    assert not davdata.fill(server, user, work, davdata.events(count) + davdata.todos(3), more={'Scheduling-Enabled': 'F'})
    assert not davdata.fill(server, user, people, davdata.cards(count))
    return user, name, work, people


def everybody(w, server, user, recorder):
    name = server.dav_user(user)
    return [Vdirsyncer(w.place, name, recorder.port), PythonCaldav(w.place, name, recorder.port, server.calendars(user)),
            Davx5(w.place, name, recorder.port), Thunderbird(w.place, name, recorder.port)]


def in_sync(w, server):
    user, name, work, people = filled(w, server)
    recorder = Recorder(w.place, server.dav_port)
    try:
        clients = everybody(w, server, user, recorder)
        for c in clients:
            recorder.mark()
            c.run()
            n = len(set(recorder.downloads()))
            assert n == 63 or n == 33 and c.name == 'python-caldav', (c.name, n)
        for c in clients:
            c.run()  # Xandikos counts the list as a change, and so on: the second may still find something
            recorder.mark()
            c.run()
            assert not recorder.downloads() and not recorder.writes(), (c.name, recorder.exchanges)
        davx5, thunderbird = clients[2:]
        text = 'Seen by all of them'
        davx5.put(work, 'fresh.ics', fresh_event(text))
        for c in clients:
            recorder.mark()
            c.run()
            assert len(recorder.downloads()) == 1, (c.name, recorder.exchanges)
        href = [h for h in thunderbird.state[work]['items'] if h.endswith('fresh.ics')][0]
        thunderbird.change(work, href, thunderbird.state[work]['items'][href][1].replace(text, 'Changed').encode())
        davx5.run()
        assert davx5.fresh == 1 and 'Changed' in davx5.state[work]['items'][href][1]
        davx5.delete(work, href)
        thunderbird.run()
        assert thunderbird.gone == 1 and href not in thunderbird.state[work]['items']
    finally:
        recorder.stop()


def test_radicale(w):
    in_sync(w, w.server(Radicale))


def test_xandikos(w):
    in_sync(w, w.server(Xandikos))


def test_cyrus(w):
    in_sync(w, w.server(CyrusDav))


def test_cyrus_domains(w):
    in_sync(w, w.server(CyrusDav, name='cyrus-two', layout='domains'))
