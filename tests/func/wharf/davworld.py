"""A person with calendars and address books at an old server, clients in sync with it, and the cutover to wherryd."""

import os
import re
import time

from . import davdata, webdav
from .davclients import Davx5, PythonCaldav, Thunderbird, Vdirsyncer
from .davwire import Recorder
from .place import Trouble

# How many items the largest collections have; more by the environment, for a run that takes its time.
SIZE = int(os.environ.get('WHERRY_DAV_SIZE', '40'))
QUIET = {'Scheduling-Enabled': 'F'}


class Person:
    """`work` (events and tasks), `home` (events, other properties), `people` and `few` (cards) on the old server."""

    def __init__(self, w, old, new, count=SIZE, plant=True, awkward=False):
        self.w, self.old, self.new = w, old, new
        self.user = w.user(old, new)
        self.key = old.dav_user(self.user)  # without IMAP nothing else names the account
        self.name, self.new_name = old.dav_user(self.user), new.dav_user(self.user)
        names = davdata.NAMES + (davdata.AWKWARD if awkward else ())
        cal, book = old.calendars(self.user), old.contacts(self.user)
        home = 'home/' if 'quotedname' in old.refuses else 'home%20%26%20more/'
        self.work, self.home, self.people, self.few = cal + 'work/', cal + home, book + 'people/', book + 'few/'
        mail = new.mail(self.user) if new.invites else 'me@internal.test'
        with self.direct_old() as c:
            c.mkcalendar(self.work, 'Wörk & <Co>', components=('VEVENT', 'VTODO'), description='Über\nzwei Zeilen', color='#FF8800FF',
                         order=7, timezone=davdata.calendar(davdata.zone('Europe/Berlin')).decode())
            c.mkcalendar(self.home, 'Home', color='#00FF0080', order=2)
            c.mkbook(self.people, 'Leute', 'Everybody & more')
            c.mkbook(self.few, 'Few')
        self.sent = {
            self.work: davdata.events(count, 'w', mail, names) + davdata.todos(max(3, count // 20)),
            self.home: davdata.events(5, 'h', mail, ()),
            self.people: davdata.cards(count, names=names),
            self.few: davdata.cards(2, 'f', ()),
        }
        for path, items in self.sent.items():
            if plant and hasattr(old, 'plant'):
                old.plant(self.name, path, items)
            else:
                refused = davdata.fill(old, self.user, path, items, more=QUIET)
                if refused:
                    raise Trouble('%s refused %s' % (old.name, refused[:3]))
        self.count = sum(len(x) for x in self.sent.values())
        self.mails = len(new.mails()) if new.invites else 0
        self.recorder = Recorder(w.place, old.dav_port)
        w.relays.append(self.recorder)

    # ---- three ways to look

    def direct_old(self):
        return webdav.Client(self.old.dav_port, self.old.dav_user(self.user))

    def direct_new(self):
        return webdav.Client(self.new.dav_port, self.new.dav_user(self.user))

    def through(self, d, **more):
        return webdav.Client(d.dav_port, self.name, ca=self.w.place.ca, **more)

    def homes(self, server):
        return [server.calendars(self.user), server.contacts(self.user)]

    def at_old(self):
        with self.direct_old() as c:
            self.before = davdata.account(c, self.homes(self.old))
            return self.before

    def at_new(self):
        with self.direct_new() as c:
            return davdata.account(c, self.homes(self.new))

    def view(self, d):
        with self.through(d) as c:
            return davdata.account(c, self.homes(self.old))

    # ---- clients

    def everybody(self):
        """All four, in sync with the old server: the last run transferred nothing."""
        place, port, r = self.w.place, self.recorder.port, self.recorder
        self.clients = [Vdirsyncer(place, self.name, port), PythonCaldav(place, self.name, port, self.old.calendars(self.user)),
                        Davx5(place, self.name, port), Thunderbird(place, self.name, port)]
        for c in self.clients:
            r.mark()
            c.run()
            assert len(set(r.downloads())) >= self.count // 3, 'the harness does not see downloads of %s' % c.name
            r.mark()
            c.run()
            self.quiet(c, 'not even in sync with the old host')
        return self.clients

    def quiet(self, client, why='transferred again'):
        r = self.recorder
        down, up = r.downloads(), r.writes()
        assert not down, '%s: %s: %d items down, first %s' % (client.name, why, len(down), down[:5])
        assert not up, '%s: %s: %s' % (client.name, why, up[:5])
        self.polite()

    def polite(self):
        """No answer but an announced 503 says that the server failed."""
        for x in self.recorder.exchanges:
            if x.status and x.status >= 500:
                names = {k.lower() for k, _ in x.reply_headers}
                assert x.status == 503 and 'retry-after' in names, '%r\n%s\n%r' % (x, x.body and x.body[:500], x.reply[:500])

    def cutover(self, d):
        """From now on the same address leads to wherryd."""
        self.recorder.target = (d.dav_port, self.w.place.ca)

    # ---- wherryd

    def daemon(self, start=True, old=None, new=None, **options):
        """old and new: recorders in front of the servers."""
        dav = with_names(self.old, self.new, options.pop('dav', {}))
        return self.w.wherryd(None, None, start=start, dav=(old or self.old, new or self.new, dav), **options)

    def units(self, d):
        got = d.ctl_json('account', self.key)
        return got['collections'] if 'collections' in got else got['mailboxes']

    def moved(self, d, seconds=60, look=None):
        """Wait until all collections that exist on old have moved; look() is called now and then meanwhile."""
        end = time.monotonic() + seconds
        again = 0
        while True:
            try:
                units = self.units(d)
            except Trouble:
                units = []
            waiting = [u for u in units if u['state'] not in ('moved', 'deleted', 'stays')]
            if units and not waiting:
                return units
            now = time.monotonic()
            if now > end:
                raise AssertionError('not moved after %d s: %s' % (seconds, waiting or units))
            if look and now >= again:  # a look before the collections are known is no touch
                look()
                again = now + 2
            time.sleep(0.1)

    def touch(self, d):
        """Look into every collection, as a client does that comes for the first time, until all have moved."""
        def look():
            with self.through(d) as c:
                for path in webdav.collections(c, self.homes(self.old)):
                    c.etags(path)
        return self.moved(d, look=look)

    def uninvited(self):
        """No mail left the new host since the person was made."""
        if self.new.invites:
            mails = self.new.mails()[self.mails:]
            assert not mails, '%d mails; the first: %s' % (len(mails), mails[0].decode(errors='replace')[:1500])

    def must_hold(self, before):
        """The new server has what old had, each once, under the same names; for every item the same meaning."""
        there = self.at_new()
        for path, old in before.items():
            if not old.items:  # such as a server makes for everybody
                continue
            new = self.at(there, path, before)
            a = {webdav.decoded(h)[len(path):]: x[1] for h, x in old.items.items()}
            b = {webdav.decoded(h)[len(new.path_decoded):]: x[1] for h, x in new.items.items()}
            differ = ['%s is not there' % n for n in sorted(set(a) - set(b))] + ['%s in addition' % n for n in sorted(set(b) - set(a))]
            differ += ['%s differs:\n%s\n---\n%s' % (n, a[n], b[n]) for n in sorted(set(a) & set(b))
                       if davdata.meaning(a[n]) != davdata.meaning(b[n])]
            assert not differ, 'on the new host, %s: %d differences\n  %s' % (path, len(differ), '\n  '.join(differ[:10]))

    def at(self, account, path, before=None):
        """The collection on the new host for this one of old (a path decoded): by its displayname, since a server may not take
        the name in the path."""
        name = (before or self.before)[path].props.get('D:displayname')
        found = [(p, c) for p, c in account.items() if c.props.get('D:displayname') == name]
        assert len(found) == 1, '%r on the new host: %s of %s' % (name, [p for p, _ in found], sorted(account))
        found[0][1].path_decoded = found[0][0]
        return found[0][1]


def with_names(old, new, options):
    """The setting new.dav.user where the two servers name people differently, and passwords for the ways to enter."""
    more = dict(options)
    a, b = old.dav_user('x'), new.dav_user('x')
    if a != b:
        more['new'] = more.get('new', '') + 'user = "%s"\n' % ('%n' if b == 'x' else '%n' + b[1:])
    return more


def must_equal(differences, what):
    assert not differences, '%s: %d differences\n  %s' % (what, len(differences), '\n  '.join(differences[:20]))


def dropped(server):
    """What of a collection's properties a server does not keep, to be left out of a comparison."""
    return ('C:supported-calendar-component-set', 'I:calendar-order', 'C:calendar-description', 'C:calendar-timezone',
            'A:addressbook-description', 'C:schedule-calendar-transp') if server.name == 'xandikos' else ()


def leaks(text, person, before):
    """What of the new server's hrefs, tokens and tags a client saw, in all that was said to it."""
    found = []
    there = person.at_new()
    text = text.decode(errors='replace')
    shown = {t for c in before.values() for t, _ in c.items.values()}
    for home in person.homes(person.new):
        at = re.search(r'(?<![\w./@%%-])%s' % re.escape(home), text)
        if at and not any(h.startswith(home) for h in person.homes(person.old)):
            found.append('home %s: %s' % (home, around(text, at.group(0), at.start())))
    for path, c in there.items():
        for what, value in (('sync-token', c.token), ('ctag', c.ctag)):
            if value and re.search(r'>\s*%s\s*<' % re.escape(value.replace('&', '&amp;')), text):
                found.append('%s of %s: %s' % (what, path, around(text, value)))
        for href, (tag, _) in c.items.items():
            if tag and tag not in shown and tag in text.replace('&quot;', '"'):
                found.append('ETag of %s: %s' % (href, around(text.replace('&quot;', '"'), tag)))
    if re.search(r'(?mi)^(alt-svc|upgrade|server|x-powered-by): .*(cyrus|xandikos|aiohttp|wsgi|h2c)', text):
        found.append('header: %s' % re.search(r'(?mi)^(alt-svc|upgrade|server|x-powered-by): .*', text).group(0))
    for base in ('127.0.0.1:%d' % p for p in (person.new.dav_port, person.new.dav_tls_port)):
        if base in text:
            found.append('address %s: %s' % (base, around(text, base)))
    return found


def around(text, what, at=None):
    at = text.find(what) if at is None else at
    return repr(text[max(0, at - 200):at + len(what) + 50])
