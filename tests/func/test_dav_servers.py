"""The calendar and contact servers that the other tests stand on, without wherryd: they are there, and what is counted can
differ from 0."""

from wharf import webdav
from wharf.dav import CyrusDav, Radicale, Xandikos

EVENT = '''BEGIN:VCALENDAR\r
VERSION:2.0\r
PRODID:-//wharf//EN\r
BEGIN:VEVENT\r
UID:meeting-1@example.org\r
DTSTAMP:20240101T000000Z\r
DTSTART:20350101T100000Z\r
DTEND:20350101T110000Z\r
SUMMARY:Meeting\r
ORGANIZER:mailto:%s\r
ATTENDEE;PARTSTAT=ACCEPTED:mailto:%s\r
ATTENDEE;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:far@example.net\r
END:VEVENT\r
END:VCALENDAR\r
'''
CARD = 'BEGIN:VCARD\r\nVERSION:3.0\r\nUID:card-1\r\nFN:Anna Bootsmann\r\nN:Bootsmann;Anna;;;\r\nEND:VCARD\r\n'


def goes_round(w, server):
    """Discovery, a new collection of each kind, an item in it, over both ports."""
    user = w.user(server)
    for port, ca in ((server.dav_port, None), (server.dav_tls_port, w.place.ca)):
        with webdav.Client(port, server.dav_user(user), ca=ca) as c:
            principal, calendars, books = webdav.discover(c)
            assert principal == server.principal(user), principal
            assert calendars == [server.calendars(user)] and books == [server.contacts(user)], (calendars, books)
            work, people = calendars[0] + 'work%d/' % port, books[0] + 'people%d/' % port
            c.mkcalendar(work, 'Work', color='#112233FF')
            c.mkbook(people, 'People')
            r = c.put(work + 'one.ics', EVENT.replace('meeting-1', 'm%d' % port).replace('\nORG', '\nX-ORG').replace('\nATT', '\nX-ATT') %
                      ('a@b', 'a@b'))
            assert r.status == 201, r
            r = c.put(people + 'one.vcf', CARD.replace('card-1', 'c%d' % port), cards=True)
            assert r.status == 201, r
            found = webdav.collections(c, calendars + books)
            assert found[work] == 'calendar' and found[people] == 'addressbook', found
            assert len(c.etags(work)) == 1
    with webdav.Client(server.dav_port, server.dav_user(user), 'wrong') as c:
        assert c.request('PROPFIND', server.principal(user)).status == 401


def test_radicale(w):
    goes_round(w, w.server(Radicale))


def test_xandikos(w):
    goes_round(w, w.server(Xandikos))


def test_cyrus_plain(w):
    goes_round(w, w.server(CyrusDav))


def test_cyrus_domains(w):
    goes_round(w, w.server(CyrusDav, name='cyrus-two', layout='domains'))


def test_invitation_is_counted(w):
    """A PUT sends an invitation, so that "none" means something; with the header it does not."""
    s = w.server(CyrusDav)
    user = w.user(s)
    mine = user + '@internal.test'
    with webdav.Client(s.dav_port, user) as c:
        home = s.calendars(user)
        before = len(s.mails())
        c.mkcalendar(home + 'quiet/')
        assert c.put(home + 'quiet/m.ics', EVENT % (mine, mine), Scheduling_Enabled='F').status == 201
        assert len(s.mails()) == before, s.mails()[-1]
        loud = (EVENT % (mine, mine)).replace('meeting-1', 'meeting-2')
        assert c.put(home + 'quiet/m2.ics', loud).status == 201
        new = s.mails()[before:]
        assert len(new) == 1 and b'far@example.net' in new[0] and b'METHOD:REQUEST' in new[0], new
