"""Collections that are used while they are copied, and daemons that are killed meanwhile: nothing is lost, nothing is there twice."""

import os
import random
import threading
import time

from wharf import davdata, webdav
from wharf.dav import CyrusDav, Radicale, Xandikos
from wharf.davclients import fresh_event
from wharf.davworld import Person, must_equal

COUNT = int(os.environ.get('WHERRY_DAV_LIVE', '100'))
KILLS = int(os.environ.get('WHERRY_DAV_KILLS', '4'))
SEED = int(os.environ.get('WHERRY_SEED', '0'))


class Author(threading.Thread):
    """Creates, changes and deletes events of one calendar until it is told to end; knows what must be there."""

    def __init__(self, person, d, seed, known, mine):
        super().__init__(daemon=True)
        self.client = person.through(d, agent='author')
        self.path, self.r = person.work, random.Random(seed)
        self.known = known  # {name: bytes}; nobody else touches those whose names are in `mine`
        self.mine = mine
        self.seed, self.made, self.waited = seed, 0, 0
        self.done = {'made': 0, 'changed': 0, 'deleted': 0}
        self.ended, self.wrong = threading.Event(), []

    def say(self, method, href, body=None, **more):
        """A request; an announced 503 is waited out."""
        end = time.monotonic() + 60
        while True:
            r = self.client.request(method, href, body, **more)
            if r.status != 503:
                return r
            if not r.header('Retry-After') or time.monotonic() > end:
                raise AssertionError('%r %s' % (r, r.header('Retry-After')))
            self.waited += 1
            time.sleep(min(float(r.header('Retry-After')), 0.5))

    def run(self):
        try:
            while not self.ended.is_set():
                self.step()
        except Exception as e:
            self.wrong.append(repr(e))

    def step(self):
        what = self.r.choice(('make', 'change', 'change', 'delete'))
        if what == 'make':
            self.made += 1
            name = 'live %s-%d.ics' % (self.seed, self.made)
            body = fresh_event('Live %s-%d' % (self.seed, self.made))
            r = self.say('PUT', self.path + davdata.quoted(name), body, If_None_Match='*', Content_Type='text/calendar; charset=utf-8')
            self.expect(r, (201,), name)
            self.known[name] = body
            self.mine.append(name)
            self.done['made'] += 1
            return
        name = self.r.choice(self.mine)
        href = self.path + davdata.quoted(name)
        r = self.say('GET', href)
        self.expect(r, (200,), name)
        assert davdata.meaning(r.body) == davdata.meaning(self.known[name]), '%s: got\n%r\nnot\n%r' % (name, r.body, self.known[name])
        if what == 'change':
            body = self.known[name].replace(b'SUMMARY:', b'SUMMARY:Again ', 1)
            if len(body) > 3000:
                return
            got = self.say('PUT', href, body, If_Match=r.etag, Content_Type='text/calendar; charset=utf-8')
            self.expect(got, (200, 201, 204), name)
            self.known[name] = body
            self.done['changed'] += 1
        elif len(self.mine) > 5:
            self.expect(self.say('DELETE', href, If_Match=r.etag), (200, 204), name)
            del self.known[name]
            self.mine.remove(name)
            self.done['deleted'] += 1

    def expect(self, r, statuses, name):
        if r.status not in statuses:
            raise AssertionError('%s: %r' % (name, r))


def hold(known, items, path, where):
    """{name: bytes} is what a collection's items {href: (ETag, bytes)} are."""
    there = {webdav.decoded(h)[len(path):]: x[1] for h, x in items.items()}
    assert len(there) == len(items)
    gone, more = sorted(set(known) - set(there)), sorted(set(there) - set(known))
    assert not gone and not more, '%s: %d lost: %s; %d more: %s' % (where, len(gone), gone[:5], len(more), more[:5])
    for name, body in known.items():
        assert davdata.meaning(there[name]) == davdata.meaning(body), '%s: %s:\n%r\nis not\n%r' % (where, name, there[name], body)


def live(w, old, new, count):
    p = Person(w, old, new, count=count)
    before = p.at_old()
    known = {n: before[webdav.decoded(p.work)].items[h][1].encode() for h in before[webdav.decoded(p.work)].items
             for n in [webdav.decoded(h)[len(webdav.decoded(p.work)):]]}
    names = sorted(known)
    d = p.daemon()
    authors = [Author(p, d, n, known, names[n::4][:max(20, count // 8)]) for n in range(3)]
    for a in authors:
        a.start()
    try:
        p.touch(d)
        marks = [sum(a.done.values()) for a in authors]
        end = time.monotonic() + 30  # and for a while after the switch
        while any(sum(a.done.values()) < m + 5 for a, m in zip(authors, marks)) and time.monotonic() < end and \
                not any(a.wrong for a in authors):
            a.join(0.05)
    finally:
        for a in authors:
            a.ended.set()
        for a in authors:
            a.join(60)
    assert not any(a.wrong for a in authors), [a.wrong for a in authors]
    assert all(all(a.done.values()) for a in authors), [a.done for a in authors]
    view = p.view(d)[webdav.decoded(p.work)]
    hold(known, view.items, webdav.decoded(p.work), 'the view')
    there = p.at(p.at_new(), webdav.decoded(p.work), before)
    hold(known, there.items, there.path_decoded, 'the new host')
    units = p.units(d)
    for u in units:
        assert u['found'] == u['moved'] + u['left_behind'] + u['vanished'], u
    p.uninvited()
    return [a.done for a in authors], [a.waited for a in authors]


def test_used_while_copied(w):
    live(w, w.server(Xandikos), w.server(Radicale), COUNT)


test_used_while_copied.limit = max(240, COUNT)


def touch_in_background(p, d):
    def go():
        try:
            with p.through(d, timeout=30) as c:
                for path in p.sent:
                    c.etags(path)
        except Exception:
            pass  # the daemon is being killed
    t = threading.Thread(target=go, daemon=True)
    t.start()
    return t


def kills(w, old, new, kills, seed):
    r = random.Random(seed + 1000 * SEED)
    p = Person(w, old, new, count=40)
    start = time.monotonic()
    d = p.daemon(level='info')
    p.touch(d)
    whole = time.monotonic() - start
    done = rounds = 0
    while done < kills:
        rounds += 1
        p = Person(w, old, new, count=40)
        before = p.at_old()
        d = p.daemon(level='info')
        for _ in range(4):
            t = touch_in_background(p, d)
            time.sleep(r.uniform(0.01, whole))
            d.kill()
            t.join(30)
            done += 1
            d.start()
        p.touch(d)
        must_equal(davdata.compare(before, p.view(d)), 'the view after kills')
        p.must_hold(before)
        p.uninvited()
        units = p.units(d)
        assert sum(u['found'] for u in units) == sum(u['moved'] for u in units) == p.count, units
        must_equal(davdata.compare(before, p.at_old()), 'the old host')
        w.daemons.remove(d)
        d.stop()


def test_kill_radicale_to_cyrus(w):
    kills(w, w.server(Radicale), w.server(CyrusDav), KILLS, 1)


def test_kill_cyrus_to_radicale(w):
    kills(w, w.server(CyrusDav), w.server(Radicale), KILLS, 2)


test_kill_radicale_to_cyrus.limit = test_kill_cyrus_to_radicale.limit = max(240, KILLS * 15)
