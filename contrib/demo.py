"""The demonstration that contrib/demo runs once everything is built and installed."""

import argparse
import atexit
import os
import smtplib
import ssl
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'tests', 'func'))

from wharf import davdata, mail, snapshot, webdav  # noqa: E402
from wharf.clients import Mbsync, maildir_files  # noqa: E402
from wharf.daemon import Wherryd  # noqa: E402
from wharf.dav import Radicale, Xandikos  # noqa: E402
from wharf.davclients import Vdirsyncer, fresh_event  # noqa: E402
from wharf.davwire import Recorder  # noqa: E402
from wharf.davworld import dropped  # noqa: E402
from wharf.place import Place  # noqa: E402
from wharf.servers import Dovecot  # noqa: E402
from wharf.submission import MailDovecot, Postfix, settings  # noqa: E402

USER = 'anna'
BOXES = {(): 120, ('Archive', '2019'): 150, ('Archive', '2020'): 90, ('Projects', 'R&D'): 25, ('Entwürfe',): 6,
         ('Lists', 'boats and quays'): 60, ('Receipts',): 30, ('Later',): 0}


def say(text=''):
    print(text, flush=True)


def heading(text):
    say('\n\033[1m%s\033[0m' % text if sys.stdout.isatty() else '\n' + text)


def sync(client, port, what):
    start = time.monotonic()
    client.run(port)
    say('  mbsync %s: %d message bodies fetched, %.1f s' % (what, client.bodies(), time.monotonic() - start))
    return client.bodies()


def in_inbox(host):
    with host.connect(USER) as c:
        return int(c.select(b'INBOX', b'EXAMINE').lines(b'EXISTS')[0][0])


def submit(place, daemon, body):
    c = smtplib.SMTP('127.0.0.1', daemon.smtp_port)
    c.starttls(context=ssl.create_default_context(cafile=place.ca))
    c.login(USER, 'pw')
    c.sendmail(USER + '@new.test', [USER + '@new.test'], body)
    c.quit()


class Calendars:
    """Calendars and address books at a Radicale, a vdirsyncer that keeps a copy of them, and a Xandikos that they will move to."""

    def __init__(self, place):
        self.place = place
        self.old, self.new = Radicale(place).start(), Xandikos(place).start()
        for server in (self.old, self.new):
            server.add_user(USER)
        home = self.old.calendars(USER)
        self.sent = {home + 'work/': davdata.events(60, 'demo'), home + 'people/': davdata.cards(40, 'demo')}
        with webdav.Client(self.old.dav_port, USER) as c:
            c.mkcalendar(home + 'work/', 'Work', color='#3388CCFF')
            c.mkbook(home + 'people/', 'People')
        for path, items in self.sent.items():
            self.old.plant(USER, path, items)
        self.recorder = Recorder(place, self.old.dav_port)
        self.client = Vdirsyncer(place, USER, self.recorder.port)

    def seen(self, port=None):
        """Everything, at the old address."""
        with webdav.Client(port or self.old.dav_port, USER, ca=self.place.ca if port else None) as c:
            return davdata.account(c, [self.old.calendars(USER)])

    def sync(self, what):
        self.recorder.mark()
        start = time.monotonic()
        self.client.run()
        down, up = len(self.recorder.downloads()), len(self.recorder.writes())
        say('  vdirsyncer %s: %d items fetched, %d sent, %.1f s' % (what, down, up, time.monotonic() - start))
        return down, up

    def states(self, daemon):
        return [u['state'] for u in daemon.ctl_json('account', USER)['collections']]


def waited(check):
    end = time.monotonic() + 20
    while not check() and time.monotonic() < end:
        time.sleep(0.1)
    return check()


def must(good, text):
    say('  %s %s' % ('yes:' if good else 'NO:', text))
    if not good:
        raise SystemExit('wherry did not keep its promise')


def main():
    p = argparse.ArgumentParser(prog='contrib/demo')
    p.add_argument('--bin', required=True, help=argparse.SUPPRESS)
    p.add_argument('--keep', action='store_true', help='leave everything running')
    options = p.parse_args()
    place = Place(keep=options.keep)

    heading('1. Two mail servers')
    old = Dovecot(place, 'old', style='.', fsync=None).start()
    new = MailDovecot(place, 'new', fsync=None).start()
    postfix = Postfix(place, new).start()
    say('  old host: 127.0.0.1:%d, separator ".", prefix "INBOX."' % old.tls_port)
    say('  new host: 127.0.0.1:%d, separator "/", no prefix, another format on disk' % new.tls_port)
    say('            and a Postfix that takes submitted mail, 127.0.0.1:%d' % postfix.port)
    calendars = Calendars(place)
    say('  calendars and contacts: Radicale on the old host (%d items), Xandikos on the new one' %
        sum(len(x) for x in calendars.sent.values()))

    f = mail.Filler(old, USER, seed='demo')
    for levels, count in BOXES.items():
        name = f.create(*levels) if levels else b'INBOX'
        f.messages(name, count, [x for x in mail.FLAGS if b'Deleted' not in x])
        if count:
            f.gaps(name)
    f.append(b'INBOX', mail.message('demo-big', 5 << 20), b'\\Flagged')
    f.close()
    with old.connect(USER) as c:
        before = snapshot.Account(c)
    say('  %s has %d messages (%.1f MB) in %d mailboxes on the old host' % (
        USER, before.total(), sum(m.size for b in before.mailboxes.values() for m in b.messages.values()) / 1e6,
        len(before.mailboxes)))

    heading('2. A client that knows only the old host')
    client = Mbsync(place, USER)
    sync(client, old.tls_port, 'fills its local copy from the old host')
    sync(client, old.tls_port, 'once more, now in sync')
    files, state = maildir_files(client.mail), client.state()
    calendars.sync('fills its local copy from the old host')
    calendars.sync('once more, now in sync')
    calendar_files, at_old = calendars.client.files(), calendars.seen()

    heading('3. wherryd takes the old host\'s place')
    daemon = Wherryd(place, options.bin, old, new, submission=lambda d: settings(place, d, postfix.service()),
                     dav=(calendars.old, calendars.new, {})).start()
    calendars.recorder.target = (daemon.dav_port, place.ca)
    say('  wherryd answers on 127.0.0.1:%d and has copied nothing yet; the client is the same, with the same password' %
        daemon.tls_port)
    fetched = sync(client, daemon.tls_port, 'through wherryd (each mailbox moves as mbsync selects it)')
    must(fetched == 0, 'not one message was transferred again')
    must(maildir_files(client.mail) == files, 'no file of the local copy was touched (%d files)' % len(files))
    must(client.state() == state, 'mbsync\'s record of UIDs and UIDVALIDITY is the same')

    heading('4. Where the mail is now')
    with daemon.connect(USER) as c:
        differences = snapshot.compare(before, snapshot.Account(c))
    must(not differences, 'names, UIDs, flags, dates and bytes through wherryd are those of the old host')
    with new.connect(USER) as c:
        there = snapshot.Account(c)
    must(there.digests() == before.digests(), 'the new host holds all %d messages, each once' % there.total())
    with old.connect(USER) as c:
        must(not snapshot.compare(before, snapshot.Account(c)), 'the old host is as it was')

    heading('5. Life goes on')
    messages = in_inbox(daemon)
    with new.connect(USER) as c:
        c.append(b'INBOX', mail.message('news', subject='News'))
    say('  a message is delivered to the new host')
    must(sync(client, daemon.tls_port, 'through wherryd') == 1, 'the client got it, and nothing else')

    heading('6. Mail that is sent')
    body = mail.message('sent', subject='Sent through wherryd').split(b'\r\n', 1)[1]
    submit(place, daemon, body)
    say('  %s sends a message through wherryd, with the same password; Postfix takes it as %s' % (
        USER, daemon.events('message')[-1]['queue_id']))
    must(waited(lambda: in_inbox(daemon) == messages + 2), 'it arrived in the INBOX that moved')
    must(sync(client, daemon.tls_port, 'through wherryd') == 1, 'the client got it, and nothing else')

    heading('7. Calendars and contacts')
    must(calendars.sync('through wherryd') == (0, 0), 'not one event or contact was transferred again')
    must(waited(lambda: all(x == 'moved' for x in calendars.states(daemon))), 'the calendar and the address book have moved')
    must(calendars.sync('through wherryd, now served by the new host') == (0, 0), 'nothing again')
    must(calendars.client.files() == calendar_files, 'no file of the local copy was touched (%d files)' % len(calendar_files))
    must(not davdata.compare(at_old, calendars.seen(port=daemon.dav_port), ignore=dropped(calendars.new)),
         'URLs, ETags, contents, names and colours through wherryd are those of the old host')
    with webdav.Client(daemon.dav_port, USER, ca=place.ca) as c:
        c.put(calendars.old.calendars(USER) + 'work/new.ics', fresh_event('Launch'))
    say('  an event is made by another program')
    must(calendars.sync('through wherryd') == (1, 0), 'the client got it, and nothing else')

    heading('8. wherryctl status')
    say('  ' + daemon.ctl('status').rstrip().replace('\n', '\n  '))

    if options.keep:
        keep_running(place, old, new, daemon)
        return
    daemon.stop()
    heading('9. The last line of wherryd\'s counters')
    lines = daemon.events('counters')
    say('  ' + ' '.join('%s=%s' % kv for kv in lines[-1].items()) if lines else '  (none)')
    say('\nThe servers are stopped and their folder is removed.')


def keep_running(place, old, new, daemon):
    """Leave the processes alone and write down how to end them."""
    atexit.unregister(place.remove)
    pids = [t.pid for t in place.running if hasattr(t, 'pid')]
    stop = place.write(place.path('stop'), '#!/bin/sh\nkill %s\nsleep 2\nrm -rf %s\n' % (
        ' '.join(map(str, reversed(pids))), place.dir), 0o755)
    heading('Everything is left running')
    say('  wherryd      imaps 127.0.0.1:%d, STARTTLS 127.0.0.1:%d   log %s' % (daemon.tls_port, daemon.port, daemon.log))
    say('               calendars and contacts https://127.0.0.1:%d/' % daemon.dav_port)
    say('               submissions 127.0.0.1:%d, with STARTTLS 127.0.0.1:%d' % (daemon.smtps_port, daemon.smtp_port))
    say('  old host     imaps 127.0.0.1:%d      new host imaps 127.0.0.1:%d' % (old.tls_port, new.tls_port))
    say('  any user name, password pw; CA certificate %s' % place.ca)
    say('  for example: curl --cacert %s -u %s:pw imaps://localhost:%d/' % (place.ca, USER, daemon.tls_port))
    say('  status:      %s -c %s status' % (daemon.program('wherryctl'), daemon.conf))
    say('  to end it:   %s' % stop)


if __name__ == '__main__':
    main()
