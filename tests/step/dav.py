#!/usr/bin/env python3
"""The listener of calendars and contacts before scripted hosts: what is refused, odd timing, lost connections.

Run in the build folder (make check does), or with --bin DIR [-k WORD]. All tests share one daemon, which has to end in
order at the end."""

import base64
import os
import re
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import front  # noqa: E402
from dav_peers import DavClient, DavHost, http, request  # noqa: E402
from runner import run  # noqa: E402

MORE = '''listen { dav = {"127.0.0.1:%d"} }
old { dav { url = "http://127.0.0.1:%d/ask/" } }
new { dav { url = "http://127.0.0.1:%d/ask/" } }
limits { max_connections_per_address = 1000 dav_idle_seconds = 2 dav_body_bytes = 16K dav_item_bytes = 200K max_errors = 5 }
auth { by = dav verify_cache_seconds = 600 }
copy { sweep = no dav_wait_seconds = 0 host_timeout_seconds = 3 }
'''


class World(front.World):
    def __init__(self, binary):
        self.old_dav, self.new_dav, self.dav_port, self.people = DavHost(), DavHost(), front.free_port(), 0
        super().__init__(binary, more=MORE % (self.dav_port, self.old_dav.port, self.new_dav.port))

    def client(self, slow=False):
        return DavClient(self.dav_port, slow)

    def user(self):
        self.people += 1
        return 'dav%d' % self.people


def before(w, name):
    w.old_dav.reset()
    w.new_dav.reset()


def forwarded(w):
    """What reached the old host from clients, and not for the look at the account."""
    return [r for r in w.old_dav.seen if r.field(b'X-Forwarded-For')]


def test_realm_of_the_old_host(w):
    with w.client() as c:
        for headers in ((), (b'Authorization: Bearer x',), (b'Authorization: Basic !!',), (b'Authorization: Basic YQ==',)):
            got = c.ask(b'GET', b'/x', None, None, *headers)
            assert got.status == 401, got
            assert got.field(b'WWW-Authenticate') == b'Basic realm="The old place", charset="UTF-8"', got
        assert c.ask(b'GET', b'/x', None).field(b'Connection') == b'close' # max_errors
        assert c.rest() == b''
    assert not forwarded(w)


def test_wrong_password(w):
    user = w.user()
    with w.client() as c:
        begun = time.monotonic()
        assert c.ask(b'GET', b'/x', user, password='other secret').status == 401
        assert time.monotonic() - begun > 0.9
    assert not forwarded(w)
    for text in ('other secret', base64.b64encode(b'%s:other secret' % user.encode()).decode()):
        assert text not in w.logged()
    assert re.search(r'event=sign_in_failed protocol=dav account=%s .*cause=credentials' % user, w.logged())


def test_cache_spares_the_host(w):
    user = w.user()
    w.old_dav.on('GET', '/x', http(200, b'body', b'ETag: "1"'))
    for _ in range(3):
        with w.client() as c:
            for _ in range(3):
                got = c.ask(b'GET', b'/x', user)
                assert (got.status, got.body, got.field(b'ETag')) == (200, b'body', b'"1"')
    assert len(forwarded(w)) == 9
    assert w.logged().count('event=sign_in protocol=dav account=%s ' % user) == 3


REFUSED = [
    b'GET / HTTP/1.1\nHost: a\r\n\r\n',
    b'GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n folded\r\n\r\n',
    b'PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx',
    b'PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    b'GET http://other/ HTTP/1.1\r\nHost: a\r\n\r\n',
    b'GET /a/../b HTTP/1.1\r\nHost: a\r\n\r\n',
    b'GET /a/%2e%2e/b HTTP/1.1\r\nHost: a\r\n\r\n',
    b'GET /a%2Fb HTTP/1.1\r\nHost: a\r\n\r\n',
    b'GET /a%00b HTTP/1.1\r\nHost: a\r\n\r\n',
    b'GET / HTTP/1.1\r\n\r\n',
    b'GET * HTTP/1.1\r\nHost: a\r\n\r\n',
]


def test_ambiguous_is_400_and_closes(w):
    for bad in REFUSED:
        for slow in (False, True):
            with w.client(slow) as c:
                c.send(bad + b'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n')
                got = c.reply()
                assert got.status == 400 and got.field(b'Connection') == b'close', (bad, got)
                assert c.rest() == b'', bad
    assert not forwarded(w)


def test_bad_chunk_in_a_body(w):
    """What came of it before does not become an item."""
    user = w.user()
    w.old_dav.on('PUT', '/', http(201))
    with w.client() as c:
        c.send(request(b'PUT', b'/x', user, None, b'Transfer-Encoding: chunked') + b'3\r\nabc\r\n3\nabc\r\n')
        got = c.reply(b'PUT')
        assert got.status == 400, got
        assert c.rest() == b''
    assert not forwarded(w)


def test_pipelined_in_order(w):
    user = w.user()
    w.old_dav.on('GET', '/slow', lambda wire, r: time.sleep(0.3) or http(200, b'slow'))
    w.old_dav.on('GET', '/fast', http(200, b'fast'))
    w.old_dav.on('HEAD', '/fast', b'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n')
    w.old_dav.on('PUT', '/', lambda wire, r: http(201, b'', b'ETag: "%d"' % len(r.body)))
    everything = (request(b'GET', b'/slow', user) + request(b'PUT', b'/a', user, b'12345') + request(b'GET', b'/fast', user) +
                  request(b'HEAD', b'/fast', user) + request(b'PUT', b'/b', user, b'') + request(b'GET', b'/fast', user))
    for slow in (False, True):
        with w.client(slow) as c:
            c.send(everything)
            assert c.reply().body == b'slow'
            assert c.reply(b'PUT').field(b'ETag') == b'"5"'
            assert c.reply().body == b'fast'
            head = c.reply(b'HEAD')
            assert head.status == 200 and head.field(b'Content-Length') == b'4'
            assert c.reply(b'PUT').field(b'ETag') == b'"0"'
            assert c.reply().body == b'fast'


def test_expect(w):
    user = w.user()
    w.old_dav.on('PUT', '/', lambda wire, r: http(201, b'', b'ETag: "%d"' % len(r.body)))
    with w.client() as c:
        c.send(request(b'PUT', b'/x', user, None, b'Content-Length: 5', b'Expect: 100-continue'))
        assert c.reply().status == 100
        c.send(b'12345')
        assert c.reply(b'PUT').status == 201
        # refused before it was sent: the connection cannot go on
        c.send(request(b'PUT', b'/x', None, None, b'Content-Length: 5', b'Expect: 100-continue'))
        got = c.reply(b'PUT')
        assert got.status == 401 and got.field(b'Connection') == b'close', got


def test_limits(w):
    user = w.user()
    w.old_dav.on('PUT', '/', lambda wire, r: http(201, b'', b'ETag: "%d"' % len(r.body)))
    with w.client() as c:
        assert c.ask(b'PUT', b'/x', user, b'x' * 200 * 1024).field(b'ETag') == b'"204800"'
        assert c.ask(b'PUT', b'/x', user, b'x' * (200 * 1024 + 1)).status == 413
        assert c.ask(b'PROPFIND', b'/x', user, b'x' * (16 * 1024 + 1)).status == 413
        assert c.ask(b'GET', b'/' + b'x' * 9000, user).status == 414
        assert c.rest() == b''
    with w.client() as c:
        c.send(request(b'PUT', b'/x', user, None, b'Transfer-Encoding: chunked') + b''.join(b'8000\r\n' + b'x' * 0x8000 + b'\r\n' for _ in range(8)))
        assert c.reply(b'PUT').status == 413
    with w.client() as c:
        c.send(b'GET / HTTP/1.1\r\nHost: a\r\n' + b'X: y\r\n' * 101 + b'\r\n')
        assert c.reply().status == 431
    assert len(forwarded(w)) == 1


def test_what_a_host_is_told(w):
    user = w.user()
    w.old_dav.on('GET', '/', http(200))
    with w.client() as c:
        c.ask(b'GET', b'//a//b%40c?q=1', user, None, b'Connection: X-Mine', b'X-Mine: 1', b'X-Remote-User: root', b'Authorize-As: root',
              b'X-Forwarded-For: 1.2.3.4', b'TE: trailers', b'Upgrade: h2c', b'If-Match: "old"', b'User-Agent: thing/1', b'X-Other: 2')
    r = forwarded(w)[0]
    assert r.target == b'/a/b%40c?q=1'
    names = [n.lower() for n, _ in r.fields]
    for gone in (b'x-mine', b'x-remote-user', b'authorize-as', b'te', b'upgrade'):
        assert gone not in names, names
    assert r.field(b'X-Forwarded-For') == b'127.0.0.1' and names.count(b'x-forwarded-for') == 1
    assert r.field(b'If-Match') == b'"old"' and r.field(b'User-Agent') == b'thing/1' and r.field(b'X-Other') == b'2'


def test_what_a_client_is_told(w):
    user = w.user()
    here = b'http://127.0.0.1:%d/a%%40b/' % w.old_dav.port
    w.old_dav.on('GET', '/moved', http(301, b'', b'Location: ' + here, b'Alt-Svc: h2=":1"', b'X-Their: own'))
    w.old_dav.on('GET', '/none', b'HTTP/1.1 304 x\r\nETag: "1"\r\n\r\n')
    w.old_dav.on('GET', '/refused', http(401, b'', b'WWW-Authenticate: Basic realm="Elsewhere"'))
    with w.client() as c:
        got = c.ask(b'GET', b'/moved', user)
        assert got.field(b'Location') == b'http://dav.test/a%40b/', got
        assert got.field(b'Alt-Svc') is None and got.field(b'X-Their') == b'own'
        assert c.ask(b'GET', b'/none', user).status == 304
        got = c.ask(b'GET', b'/refused', user)
        assert got.status == 401 and got.field(b'WWW-Authenticate').startswith(b'Basic realm="The old place"'), got


def test_body_without_length(w):
    user = w.user()
    w.old_dav.on('GET', '/', lambda wire, r: b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n')
    with w.client() as c:
        got = c.ask(b'GET', b'/x', user)
        assert got.body == b'hello world' and got.field(b'Transfer-Encoding') == b'chunked'
        c.send(request(b'GET', b'/x', user).replace(b'HTTP/1.1', b'HTTP/1.0'))
        got = c.reply()
        assert got.body == b'hello world' and got.field(b'Connection') == b'close' and got.field(b'Transfer-Encoding') is None


def test_host_breaks_off(w):
    """Before the answer: 503. In the middle of it: the connection is cut, and nobody takes the part for the whole."""
    user = w.user()

    def cut(wire, r):
        wire.send(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello')
        wire.sock.close()
        return b''

    def cut_chunk(wire, r):
        wire.send(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n')
        wire.sock.close()
        return b''

    def close(wire, r):
        wire.sock.close()
        return b''
    w.old_dav.on('GET', '/cut', cut)
    w.old_dav.on('GET', '/chunk', cut_chunk)
    w.old_dav.on('GET', '/none', close)
    w.old_dav.on('GET', '/silent', lambda wire, r: time.sleep(4) or http(200))
    w.old_dav.on('GET', '/odd', b'not HTTP at all\r\n\r\n')
    with w.client() as c:
        for path in (b'/none', b'/odd', b'/silent'):
            got = c.ask(b'GET', path, user)
            assert got.status == 503 and got.field(b'Retry-After'), (path, got)
    for path in (b'/cut', b'/chunk'):
        with w.client() as c:
            c.send(request(b'GET', path, user))
            raw = c.rest()
            assert not raw or raw.startswith(b'HTTP/1.1 200') and not raw.endswith(b'0\r\n\r\n'), raw


def test_host_closes_before_it_answers(w):
    """What only asks is asked again; what changes something never is."""
    user, tries = w.user(), []

    def later(wire, r):
        tries.append(r.method)
        if len(tries) <= 2:
            wire.sock.close()
            return b''
        return http(207, r.body or b'none', b'Content-Type: text/xml')
    for method in ('PROPFIND', 'REPORT', 'PUT'):
        w.old_dav.on(method, '/', later)
    with w.client() as c:
        for method in (b'PROPFIND', b'REPORT'):
            del tries[:]
            assert c.ask(method, b'/x', user, b'<a/>').body == b'<a/>', tries
        del tries[:]
        assert c.ask(b'PUT', b'/x', user, b'body').status == 503
    assert tries.count(b'PUT') == 1, tries


def test_idle_and_half(w):
    user = w.user()
    w.old_dav.on('GET', '/', http(200))
    with w.client() as c:
        c.ask(b'GET', b'/x', user)
        begun = time.monotonic()
        assert c.rest() == b''
        assert 1 < time.monotonic() - begun < 6
    with w.client() as c:
        c.ask(b'GET', b'/x', user)
        c.send(b'GET /x HTTP/1.1\r\nHost')
        assert c.reply().status == 408
    with w.client() as c:
        c.ask(b'GET', b'/x', user)
        c.send(request(b'PUT', b'/x', user, None, b'Content-Length: 10') + b'12345')
        c.wire.sock.shutdown(1)
        assert c.rest() == b''
    assert 'PUT' not in [r.method.decode() for r in forwarded(w)]


def test_large_bodies_both_ways(w):
    """A client that does not read holds the host up, and not the memory."""
    user = w.user()
    big = bytes(range(256)) * 4 * 8192
    w.old_dav.on('GET', '/big', http(200, big))
    with w.client() as c:
        c.send(request(b'GET', b'/big', user))
        time.sleep(0.5)
        assert c.reply().body == big


def test_host_open_to_all(w):
    """A host that lets in whoever comes cannot check passwords: a daemon of its own, since that is asked once."""
    own = World(w.binary)
    try:
        own.old_dav.answer = lambda wire, r: http(207, b'<?xml version="1.0"?><multistatus xmlns="DAV:"><response><href>/</href><propstat><prop>'
                                                  b'<current-user-principal><href>/all/</href></current-user-principal></prop>'
                                                  b'<status>HTTP/1.1 200 OK</status></propstat></response></multistatus>')
        with own.client() as c:
            assert c.ask(b'GET', b'/x', 'anybody').status == 503
        assert 'do not ask for a password' in own.logged()
    finally:
        own.stop()


if __name__ == '__main__':
    sys.exit(run(globals(), World, sys.argv[1:], __doc__, before))
