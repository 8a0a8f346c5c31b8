#!/usr/bin/env python3
"""Calendars that move between scripted hosts: refusals, lies, lost answers, broken XML, changes in the middle.

Run in the build folder (make check does), or with --bin DIR [-k WORD]. Each test has a user of its own; all but those that end the
daemon share one, which has to end in order at the end."""

import base64
import http.client
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from dav_store import HEAD, DavHost, event  # noqa: E402
from front import free_port  # noqa: E402
from runner import run  # noqa: E402

CONF = '''listen { dav = {"127.0.0.1:%d"} plaintext = "loopback" }
auth { by = "dav" }
old { dav { url = "http://127.0.0.1:%d/old/" } }
new { dav { url = "http://127.0.0.1:%d/new/" } }
store { path = "%s" }
copy { retry_seconds = 1 sweep = no host_timeout_seconds = 3 }
log { format = "logfmt" level = "debug" }
'''


class World:
    def __init__(self, binary):
        self.binary, self.n = binary, 0
        self.dir = tempfile.mkdtemp(prefix='wherry-step-')
        self.old, self.new = DavHost('/old'), DavHost('/new')
        self.port = free_port()
        self.conf, self.log = self.dir + '/wherryd.conf', self.dir + '/log'
        with open(self.conf, 'w') as f:
            f.write(CONF % (self.port, self.old.port, self.new.port, self.dir + '/store'))
        self.start()

    def start(self):
        env = dict(os.environ)
        env.setdefault('ASAN_OPTIONS', 'detect_leaks=1:abort_on_error=0')
        with open(self.log, 'ab') as log:
            self.process = subprocess.Popen([self.binary, '-c', self.conf], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)
        end = time.monotonic() + 15
        while True:
            try:
                http.client.HTTPConnection('127.0.0.1', self.port, timeout=1).connect()
                return
            except OSError:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise AssertionError('wherryd does not listen:\n' + self.logged())
                time.sleep(0.05)

    def logged(self):
        with open(self.log, errors='replace') as f:
            return f.read()

    def kill(self):
        self.process.kill()
        self.process.wait(30)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = 'none within 30 s'
        text = self.logged()
        shutil.rmtree(self.dir, ignore_errors=True)
        bad = re.search(r'Sanitizer|runtime error', text)
        if bad:
            raise AssertionError(text[bad.start() - 200:bad.start() + 4000])
        if code != 0:
            raise AssertionError('wherryd ended with %s' % code)

    # ---- people

    def person(self, count=5, name='work'):
        """(user, the calendar on old) with so many events; the one on new comes with the mirror."""
        self.n += 1
        user = 'dav%d' % self.n
        c = self.old.calendar(user, name)
        for i in range(count):
            c.put('e%d.ics' % i, event('%s-%d' % (user, i)))
        return user, c

    def request(self, user, method='PROPFIND', path=None, body=None, **headers):
        c = http.client.HTTPConnection('127.0.0.1', self.port, timeout=20)
        fields = {k.replace('_', '-'): v for k, v in headers.items()}
        fields['Authorization'] = 'Basic ' + base64.b64encode(('%s:pw' % user).encode()).decode()
        if method == 'PROPFIND':
            fields.setdefault('Depth', '1')
        c.request(method, path or '/old/%s/cal/work/' % user, body, fields)
        r = c.getresponse()
        got = r.status, r.read()
        c.close()
        return got

    def wait(self, pattern, seconds=25):
        end = time.monotonic() + seconds
        while not re.search(pattern, self.logged()):
            assert time.monotonic() < end, 'waited %d s for %s' % (seconds, pattern)
            assert self.process.poll() is None, 'wherryd ended'
            time.sleep(0.03)
        return re.search(pattern, self.logged())

    def moved(self, user, seconds=25, name='work'):
        """Touches until it has moved; the numbers of its log line."""
        pattern = r'event=moved account=%s unit=/old/%s/cal/%s/ (.*)' % (user, user, name)
        end = time.monotonic() + seconds
        while not re.search(pattern, self.logged()):
            assert time.monotonic() < end, 'not moved'
            self.request(user, path='/old/%s/cal/%s/' % (user, name))
            time.sleep(0.1)
        return {k: int(v) for k, v in re.findall(r'(\w+)=(\d+)', re.search(pattern, self.logged()).group(1))}

    def at_new(self, user, name='work'):
        return self.new.calendar(user, name)


def same(old, new):
    a, b = {n: x[1] for n, x in old.items.items()}, {n: x[1] for n, x in new.items.items()}
    assert a == b, (sorted(set(a) ^ set(b)), [(n, a[n], b[n]) for n in a if n in b and a[n] != b[n]])


def test_moves(w):
    user, old = w.person(120)
    got = w.moved(user)
    same(old, w.at_new(user))
    assert got['found'] == got['moved'] == 120 and got['differs'] == 0, got
    assert w.new.count('PUT', user) == 120
    assert w.old.count('GET', user) == 0  # all in reports
    assert not [r for r in w.old.seen if r.method not in ('PROPFIND', 'REPORT', 'GET', 'OPTIONS') and user in r.path]
    assert [r for r in w.new.seen if r.method == 'PUT' and user in r.path and r.headers['If-None-Match'] != '*'] == []


def test_without_reports(w):
    """Neither host knows multiget: one by one."""
    user, old = w.person(7)
    for h in (w.old, w.new):
        h.on('REPORT', lambda r: (501, [], ''), path=user)
    got = w.moved(user)
    same(old, w.at_new(user))
    assert got['moved'] == 7 and got['differs'] == 0, got


def test_report_that_cannot_be_read(w):
    """An item whose bytes break the XML of the report comes by itself."""
    user, old = w.person(4)
    w.old.on('REPORT', lambda r: (207, [], HEAD + '<D:response>\x01'), path=user)
    w.new.on('REPORT', lambda r: (207, [], HEAD + '<!DOCTYPE'), path=user)
    w.moved(user)
    same(old, w.at_new(user))


def test_report_that_tells_nothing(w):
    user, old = w.person(4)
    for h in (w.old, w.new):
        h.on('REPORT', lambda r: (207, [], HEAD + '</D:multistatus>'), path=user)
    w.moved(user)
    same(old, w.at_new(user))


def test_no_tokens_no_etags(w):
    """A host that tells neither tags nor ETags on PUT: listings take their place."""
    user, old = w.person(3)
    w.old.tokens = w.new.tokens = w.new.etag_on_put = False
    try:
        got = w.moved(user)
    finally:
        w.old.tokens = w.new.tokens = w.new.etag_on_put = True
    same(old, w.at_new(user))
    assert got['differs'] == 0, got


def test_refused_item_is_left_behind(w):
    user, old = w.person(5)
    w.new.on('PUT', lambda r: (403, [], '<D:error xmlns:D="DAV:"><D:because-i-can/></D:error>'), path=user + '.*e2.ics')
    got = w.moved(user)
    assert got['moved'] == 4 and got['left_behind'] == 1 and got['differs'] == 1, got
    line = w.wait(r'event=left_behind account=%s .*item=e2.ics .*file=(\S+) reason="status 403, because-i-can"' % user)
    with open(w.dir + '/store/spool/' + line.group(1), 'rb') as f:
        assert f.read() == old.items['e2.ics'][1]


def test_500_for_one_item(w):
    user, old = w.person(3)
    w.new.on('PUT', lambda r: (500, [], ''), path=user + '.*e1.ics')
    assert w.moved(user)['left_behind'] == 1


def test_full_host_leaves_nothing_behind(w):
    user, old = w.person(3)
    w.new.on('PUT', lambda r: (507, [], ''), times=2, path=user)
    got = w.moved(user)
    same(old, w.at_new(user))
    assert got['left_behind'] == 0, got
    assert re.search(r'event=copy_failed account=%s .*class=full' % user, w.logged())


def test_patience(w):
    """429 and 503 hold it up and no more."""
    user, old = w.person(3)
    w.new.on('PUT', lambda r: (429, [('Retry-After', '1')], ''), times=2, path=user)
    w.old.on('REPORT', lambda r: (503, [], ''), times=1, path=user)
    got = w.moved(user)
    same(old, w.at_new(user))
    assert got['left_behind'] == 0, got


def test_lost_answers(w):
    """Stored, and the connection is cut before the answer: nothing is there twice."""
    user, old = w.person(12)
    lost = []

    def store_and_cut(r):
        if r.path not in lost:
            lost.append(r.path)
            w.new.do_PUT(r)
            return 'cut'
    w.new.on('PUT', store_and_cut, path=user)
    got = w.moved(user)
    same(old, w.at_new(user))
    assert got['moved'] == 12 and got['differs'] == 0, got


def test_a_host_that_forgets(w):
    """201, and nothing is stored the first time."""
    user, old = w.person(4)
    told = []

    def forget(r):
        if r.path not in told:
            told.append(r.path)
            return 201, [('ETag', '"lie"')], ''
    w.new.on('PUT', forget, path=user)
    w.moved(user)
    same(old, w.at_new(user))


def test_a_host_that_alters(w):
    """What new stores means something else: the view does not show the old ETag for it."""
    user, old = w.person(3)

    def alter(r):
        r.body = r.body.replace(b'SUMMARY:x', b'SUMMARY:y')
    w.new.on('PUT', alter, path=user + '.*e1.ics')
    got = w.moved(user)
    assert got['differs'] == 1, got
    status, body = w.request(user)
    tags = dict(re.findall(rb'/(e\d.ics)</[^>]*href>.*?getetag[^>]*>(.*?)<', body))
    assert tags[b'e0.ics'].replace(b'&quot;', b'"') == old.items['e0.ics'][0].encode(), tags
    assert b'wherry:' in tags[b'e1.ics'], tags


def test_adopted_under_the_same_name(w):
    user, old = w.person(3)
    new = w.at_new(user)
    new.put('e1.ics', old.items['e1.ics'][1])
    got = w.moved(user)
    same(old, new)
    assert got['moved'] == 3 and got['differs'] == 0, got


def test_adopted_under_another_name(w):
    """Scheduling put it there: it is one item, under old's name in the view."""
    user, old = w.person(3)
    new = w.at_new(user)
    new.put('other.ics', old.items['e1.ics'][1])
    got = w.moved(user)
    assert sorted(new.items) == ['e0.ics', 'e2.ics', 'other.ics'], sorted(new.items)
    assert got['moved'] == 3 and got['differs'] == 0, got
    assert w.request(user, 'GET', '/old/%s/cal/work/e1.ics' % user) == (200, old.items['e1.ics'][1])


def test_another_item_under_the_name(w):
    user, old = w.person(2)
    new = w.at_new(user)
    new.put('e1.ics', event('somebody-elses'))
    got = w.moved(user)
    assert len(new.items) == 3 and got['moved'] == 2 and got['differs'] == 1, (got, sorted(new.items))
    assert w.request(user, 'GET', '/old/%s/cal/work/e1.ics' % user) == (200, old.items['e1.ics'][1])


def test_uid_in_another_place(w):
    user, old = w.person(2)
    w.new.on('PUT', lambda r: (403, [], '<D:error xmlns:D="DAV:"><C:no-uid-conflict xmlns:C="urn:ietf:params:xml:ns:caldav">'
                                        '<D:href>/new/%s/cal/other/x.ics</D:href></C:no-uid-conflict></D:error>' % user),
             path=user + '.*e0.ics')
    got = w.moved(user)
    assert got['left_behind'] == 1 and got['moved'] == 1, got


def test_changes_in_the_middle(w):
    """Created, changed and deleted on old while it is copied."""
    user, old = w.person(60)
    done = []

    def change(r):
        if not done:
            done.append(1)
            with w.old.lock:
                old.put('late.ics', event(user + '-late'))
                old.put('e0.ics', event(user + '-0', 'again'))
                del old.items['e59.ics']
                old.changes += 1
    w.new.on('PUT', change, path=user + '.*e40.ics')
    got = w.moved(user)
    same(old, w.at_new(user))
    assert got['found'] == got['moved'] + got['vanished'] and got['differs'] == 0, got


def test_hostile_answers(w):
    """Bombs, floods and rubbish as listings of old: refused each time, and it moves when they are over."""
    bomb = '<!DOCTYPE a [<!ENTITY b "xxxxxxxxxx"><!ENTITY c "%s">]>' % ('&b;' * 1000)
    answers = [bomb + HEAD + '&c;</D:multistatus>', HEAD + '<D:x>' * 5000, HEAD + '<D:response><D:href>/' + 'y' * 10000000, 'rubbish', '',
               HEAD + '<D:response><D:href>http://elsewhere/x</D:href></D:response>']
    people = [w.person(2) for _ in answers]
    for (user, _), answer in zip(people, answers):
        w.old.on('PROPFIND', lambda r, a=answer: (207, [], a) if b'getcontentlength' in r.body else None, 1, user + '/cal/work/$')
    for user, old in people:
        w.moved(user, 30)
        same(old, w.at_new(user))
        assert re.search(r'event=copy_failed account=%s .*class=(protocol|limit)' % user, w.logged()), user


def test_silence(w):
    user, old = w.person(2)
    w.new.on('OPTIONS', lambda r: 'silence', 1, user)
    w.moved(user, 40)
    same(old, w.at_new(user))
    assert re.search(r'event=copy_failed account=%s .*class=timeout' % user, w.logged())


def test_made_in_spite_of_properties(w):
    """MKCALENDAR with properties is refused: without, and each is set by itself."""
    user, old = w.person(1)
    old.title = 'A title'
    w.new.on('MKCALENDAR', lambda r: (403, [], '') if r.body else None, path=user)
    w.moved(user)
    assert w.at_new(user).title == 'A title', w.at_new(user).title


def test_killed_at_every_put(w):
    """The daemon dies at each of the requests that change something, before or after it took effect."""
    user, old = w.person(8)
    own = World(w.binary)
    try:
        c = own.old.calendar(user)
        c.items, c.changes = dict(old.items), old.changes
        n = [0]

        def die(r):
            n[0] += 1
            if n[0] > 14:
                return None
            if n[0] % 2:
                own.new.answer_later = getattr(own.new, 'do_' + r.method)(r)
            own.kill()
            return 'cut'
        own.new.on('PUT|MKCALENDAR', die)
        for _ in range(20):
            try:
                own.moved(user, 15)
                break
            except (OSError, http.client.HTTPException):
                own.process.wait(10)
                own.start()
        got = own.moved(user)
        same(c, own.at_new(user))
        assert n[0] > 14 and got['moved'] == 8 and got['differs'] == 0, (n, got)
    finally:
        own.stop()


if __name__ == '__main__':
    sys.exit(run(globals(), World, sys.argv[1:], __doc__))
