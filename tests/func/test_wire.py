"""What the session itself does with the bytes of its client: compression, who the client is, small extensions."""

import base64
import random
import re
import time
import zlib

from wharf import mail, snapshot
from wharf.clients import Mbsync, messages
from wharf.imap import fetch_item
from test_dialogue import Scene

MIB = 1024 * 1024


def rss(s):
    """Bytes."""
    return s.d.memory() * 1024


def compressed(s, **more):
    c = s.connect(**more)
    assert b'COMPRESS=DEFLATE' in c.capability()
    c.compress()
    return c


def test_compress(w):
    """All of a mailbox over DEFLATE is what it was, whichever way TLS began; one compression is enough."""
    s = Scene(w)
    for tls in ('starttls', 'implicit'):
        with compressed(s, tls=tls) as c:
            caps = c.capability()
            assert b'COMPRESS=DEFLATE' not in caps and b'STARTTLS' not in caps, caps
            c.no(b'COMPRESS DEFLATE', b'COMPRESSIONACTIVE')
            c.no(b'STARTTLS', status=b'BAD')
            s.same(c, b'INBOX')
            s.same(c, b'INBOX.A')
            c.select(b'INBOX')
            first = c.wire
            r = c.ok(b'UID FETCH 1:* (FLAGS INTERNALDATE RFC822.SIZE)')
            size = sum(len(x.text) + 2 for x in r.untagged)
            assert c.wire - first < size / 2, (c.wire - first, size)
    with s.connect() as c:
        c.no(b'COMPRESS LZ4', b'CANNOT')
        c.no(b'COMPRESS', status=b'BAD')
        c.no(b'COMPRESS DEFLATE DEFLATE', status=b'BAD')
        s.same(c, b'INBOX')


def test_compress_in_one_packet(w):
    """Bytes right behind the command are compressed already."""
    s = Scene(w)
    z = zlib.compressobj(9, zlib.DEFLATED, -15)
    rest = z.compress(b'3 SELECT INBOX\r\n4 UID FETCH 1:* BODY.PEEK[]\r\n5 LOGOUT\r\n') + z.flush(zlib.Z_SYNC_FLUSH)
    for pause in (False, True):
        with s.d.connect() as c:
            c.send(b'1 LOGIN %s pw\r\n2 COMPRESS DEFLATE\r\n' % s.user.encode() + (b'' if pause else rest))
            if pause:
                c.expect(rb'2 OK')
                for b in rest:
                    c.send(bytes([b]))
            else:
                c.expect(rb'2 OK')
            c.inflate_from_here()
            lines = [x.text for x in c.expect_eof()]
            assert [x[:4] for x in lines if x[:1].isdigit()] == [b'3 OK', b'4 OK', b'5 OK'], lines
            assert len([x for x in lines if b' FETCH ' in x[:20]]) == len(s.uids())


def test_compress_append_and_idle(w):
    s = Scene(w)
    body = mail.message('squeezed', 3 * MIB)
    with compressed(s) as c:
        r = c.append(b'INBOX.A', body)
        assert r.ok and r.code.startswith(b'APPENDUID'), r
        uid = r.code.split()[2]
        c.select(b'INBOX.A')
        got = c.ok(b'UID FETCH %s BODY.PEEK[]' % uid).lines(b'FETCH')[0][1]
        assert bytes(got[got.index(b'BODY[]') + 1]) == body
        tag = c.start(b'IDLE')
        c.expect(rb'\+')
        with s.connect() as other:
            assert other.append(b'INBOX.A', mail.message('second', 500)).ok
        c.expect(rb'\* \d+ EXISTS')
        c.send(b'DONE\r\n')
        assert c.finish(tag).ok


def test_compress_bombs(w):
    """A little input that inflates to a lot: the limits hold for what it inflates to, and the memory with them."""
    s = Scene(w)
    s.d.connect(s.user).logout()
    with s.connect() as c:
        c.select(b'INBOX')
    small = rss(s)
    with compressed(s) as c:
        c.send(b'A' * (64 * MIB))
        lines = [x.text for x in c.expect_eof()]
        assert any(x.startswith(b'* BYE') for x in lines), lines
    with compressed(s) as c:  # a large message streams through as any other
        body = mail.message('long', 1000) + b'squeeze me\r\n' * (3 * MIB)
        assert c.append(b'INBOX', body).ok
    with compressed(s) as c:  # what the client does not read stays at the host
        c.select(b'INBOX')
        c.send(b''.join(b'n%d NOOP\r\n' % n for n in range(60000)))
        c.expect(rb'n59999 OK', 60001)
    # A build with sanitizers keeps freed memory.
    assert rss(s) - small < 64 * MIB, (small, rss(s))


def test_not_compressed(w):
    s = Scene(w)
    r = random.Random(7)
    for junk in (b'\xff' * 100, b'a NOOP\r\n' * 20, bytes(r.randrange(256) for _ in range(5000)) + b'\x07' * 10):
        with compressed(s) as c:
            c.sock.plain.sendall(junk)
            lines = [x.text for x in c.expect_eof()]
            assert lines and lines[-1].startswith(b'* BYE'), (junk[:20], lines)
    assert [e for e in s.d.events('session_end') if e.get('reason') == 'not_deflate']
    with compressed(s) as c:  # the peer ends its compressed data for good
        z = zlib.compressobj(6, zlib.DEFLATED, -15)
        c.sock.plain.sendall(z.compress(b'x NOOP\r\n') + z.flush(zlib.Z_FINISH))
        c.expect(rb'x OK')
        assert not c.expect_eof()


def sides(w):
    """Both kinds of new host."""
    yield Scene(w)
    s = Scene.__new__(Scene)
    s.w, s.old, s.new = w, w.dovecot('.'), w.cyrus()
    s.user = w.user(s.old, s.new)
    w.filled(s.old, s.user, {(): 8})
    s.d = w.wherryd(s.old, s.new, sign_in='authzid')
    yield s


PART = (b'Subject: parts\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n'
        b'--b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n%s\r\n'
        b'--b\r\nContent-Type: text/plain\r\n\r\nplain\r\n--b--\r\n')
ODD = b'Subject: odd\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: x-odd\r\n\r\nodd\r\n'


def test_binary(w):
    """Parts decoded by the host, whole and in pieces; binary literals go to the host as such (RFC 3516)."""
    data = bytes(range(256)) * 2000
    for s in sides(w):
        with s.connect() as c:
            assert b'BINARY' in c.capability()
            r = c.append(b'INBOX', PART % base64.encodebytes(data).replace(b'\n', b'\r\n').rstrip())
            assert r.ok, r
            uid = int(r.code.split()[2])
            c.select(b'INBOX')

            def item(what, name=None):
                row = c.ok(b'UID FETCH %d (%s UID)' % (uid, what)).lines(b'FETCH')[-1]
                assert int(fetch_item(row, b'UID')) == uid, row
                return fetch_item(row, name or what)
            assert int(item(b'BINARY.SIZE[1]')) == len(data)
            assert item(b'BINARY.PEEK[1]', b'BINARY[1]') == data
            assert item(b'BINARY[1]<1000.300>', b'BINARY[1]<1000>') == data[1000:1300]
            c.no(b'UID FETCH %d BINARY' % uid, status=b'BAD')
            text = b'Subject: literal8\r\nContent-Transfer-Encoding: binary\r\n\r\nnul\0byte\r\n'
            r = c.cmd(b'APPEND INBOX (\\Seen) ~{%d+}\r\n%s' % (len(text), text))
            assert r.ok and int(r.code.split()[2]) == uid + 1, r
            c.ok(b'NOOP')
            got = c.ok(b'UID FETCH %d BINARY.PEEK[1]' % (uid + 1)).lines(b'FETCH')[0]
            assert b'byte' in fetch_item(got, b'BINARY[1]'), got
            r = c.append(b'INBOX', ODD)
            c.ok(b'NOOP')
            if s.new.name != 'cyrus':  # which says OK and shows nothing
                c.no(b'UID FETCH %d BINARY.PEEK[1]' % (uid + 2), b'UNKNOWN-CTE')
            r = c.cmd(b'APPEND INBOX {%d+}\r\n%s ~{%d+}\r\n%s' % (len(PART), PART, len(text), text))
            assert r.ok and r.code.split()[2] == b'%d:%d' % (uid + 3, uid + 4), r


def test_preview_and_save_date(w):
    for s in sides(w):
        with s.connect() as c:
            assert {b'PREVIEW', b'SAVEDATE'} <= c.capability()
            c.append(b'INBOX', b'Subject: s\r\nContent-Type: text/plain\r\n\r\nThe boat is small.\r\n')
            c.select(b'INBOX')
            for what in (b'PREVIEW', b'(PREVIEW (LAZY) UID)', b'PREVIEW (LAZY)'):
                row = c.ok(b'FETCH * ' + what).lines(b'FETCH')[0]
                assert fetch_item(row, b'PREVIEW') in (None, b'The boat is small.'), row
            c.no(b'FETCH * (PREVIEW (FUZZY))', status=b'BAD')
            row = c.ok(b'FETCH * (SAVEDATE)').lines(b'FETCH')[0]
            assert abs(snapshot.instant(fetch_item(row, b'SAVEDATE')) - time.time()) < 3600
            every = c.ok(b'UID SEARCH ALL').lines(b'SEARCH')
            assert c.ok(b'UID SEARCH SAVEDATESUPPORTED').lines(b'SEARCH') == every
            assert c.ok(b'UID SEARCH SAVEDSINCE 1-Jan-2020 UID 1:*').lines(b'SEARCH') == every
            assert not any(c.ok(b'SEARCH SAVEDBEFORE 1-Jan-2020').lines(b'SEARCH'))
            c.no(b'SEARCH SAVEDON', status=b'BAD')


def logins(server, user):
    """What the host's log says of each sign-in of an account: [{rip, lip, session}]."""
    with open(server.log, errors='replace') as f:
        lines = [x for x in f if 'Login: user=<%s' % user in x]
    return [dict(re.findall(r'(rip|lip|session)=<?([^,>\s]*)', x)) for x in lines]


TRUSTS = 'login_trusted_networks = 127.0.0.0/8\nmail_debug = yes\nimap_id_log = *\n'


def test_id_tells_the_client_to_both_hosts(w):
    """Hosts that trust the proxy see the person's address on each connection, that of the copy too; their limits hit the
    person. What a client says of its address goes nowhere."""
    old = w.dovecot('.', extra=TRUSTS)
    new = w.dovecot('/', store='sdbox', extra=TRUSTS, connections=4)
    user = w.user(old, new)
    w.filled(old, user, {(): 4, ('A',): 3})
    before = len(logins(old, user))
    d = w.wherryd(old, new)
    forged = b'("name" "Forger" "version" "1.5" "x-originating-ip" "192.0.2.66" "x-session-id" "forged" "command" "rm")'
    with d.connect(source='127.0.0.5') as c:
        r = c.ok(b'ID ' + forged)
        assert r.lines(b'ID') and b'wherry' in r.lines(b'ID')[0][0], r
        c.login(user, 'pw')
        c.select(b'INBOX')
        c.select(b'INBOX.A')
        at_old, at_new = logins(old, user)[before:], logins(new, user)
        assert len(at_old) >= 3 and len(at_new) >= 3, (at_old, at_new)
        for at in at_old + at_new:
            assert at['rip'] == '127.0.0.5' and at['session'] != 'forged', (at_old, at_new)
        assert any(re.match(r'wherry-[0-9a-f]+-\d+$', at['session']) for at in at_new), at_new
        c.ok(b'ID ("name" "Later" "x-connected-ip" "192.0.2.67")')
        c.ok(b'NOOP')
    for server in (old, new):
        with open(server.log, errors='replace') as f:
            text = f.read()
        assert '192.0.2.6' not in text and 'forged' not in text and 'name=Forger' in text, server.name
    with open(new.log, errors='replace') as f:
        assert 'name=Later' in f.read()
    held = [d.connect(user, source='127.0.0.7') for _ in range(4)]
    refused = d.connect(source='127.0.0.7')
    refused.no(b'LOGIN %s pw' % user.encode(), b'UNAVAILABLE')
    with d.connect(user, source='127.0.0.8') as c:
        c.select(b'INBOX')
    for c in held + [refused]:
        c.close()


def test_id_that_hosts_do_not_believe(w):
    """A host that does not trust the proxy lets people in nevertheless, and so does one that has no ID."""
    for s in (Scene(w), None):
        if s is None:
            old, new = w.courier(), w.cyrus()
            user = w.user(old, new)
            d = w.wherryd(old, new, sign_in='authzid')
        else:
            d, user, new = s.d, s.user, s.new
        with d.connect(source='127.0.0.9') as c:
            assert c.ok(b'ID NIL').lines(b'ID')
            c.login(user, 'pw')
            c.select(b'INBOX')
            for bad in (b'ID', b'ID (', b'ID ("name")', b'ID ("name" "x" "y")', b'ID name', b'ID (name "x")', b'ID ("name" x)',
                        b'ID (%s)' % b' '.join(b'"f%d" "v"' % n for n in range(31)), b'ID ("name" ("x"))',
                        b'ID ("name" "%s")' % (b'x' * 1025), b'ID ("%s" "x")' % (b'x' * 31)):
                c.no(bad, status=b'BAD')
            for good in (b'ID ("name" NIL)', b'ID ()', b'ID ("name" {3+}\r\na"b "os" "\\"q\\"")',
                         b'ID ("name" "%s")' % (b'x' * 1024)):
                assert c.ok(good).lines(b'ID')
        if s is not None:
            assert logins(new, user)[-1]['rip'] == '127.0.0.1'


def test_literals_without_asking(w):
    """LITERAL-: up to 4096 bytes may come unasked, more is BAD and swallowed; within a MULTIAPPEND that ends all of it."""
    s = Scene(w)
    head = b'Subject: x\r\n\r\n'
    with s.connect() as c:
        c.select(b'INBOX')
        assert b'LITERAL-' in c.capability() and b'LITERAL+' not in c.capability()
        r = c.cmd(b'APPEND INBOX {4096+}\r\n' + head + b'x' * (4096 - len(head)))
        assert r.ok, r
        have = int(c.ok(b'STATUS INBOX (MESSAGES)').lines(b'STATUS')[0][1][1])
        c.no(b'APPEND INBOX {4097+}\r\n' + head + b'a1 NOOP\r\n' * 408 + b'x' * (4097 - len(head) - 408 * 9), status=b'BAD')
        c.no(b'STATUS {4097+}\r\n' + b'x' * 4097 + b' (MESSAGES)', status=b'BAD')
        assert int(c.ok(b'STATUS INBOX (MESSAGES)').lines(b'STATUS')[0][1][1]) == have
        r = c.cmd(b'APPEND INBOX {%d+}\r\n%s (\\Seen) {%d+}\r\n%s' % (len(head), head, len(head), head))
        assert r.ok and b':' in r.code, r
        # An empty one calls all of them off (RFC 3502 6.3.11).
        c.no(b'APPEND INBOX {%d+}\r\n%s {0+}\r\n' % (len(head), head))
        have += 2
        c.ok(b'NOOP')
        assert int(c.ok(b'STATUS INBOX (MESSAGES)').lines(b'STATUS')[0][1][1]) == have
    with s.connect() as c:
        c.send(b'm APPEND INBOX {%d+}\r\n%s {5000+}\r\n' % (len(head), head))
        assert [x.text for x in c.expect_eof()][-1].startswith(b'* BYE')
    with s.connect() as c:
        many = b' '.join(b'{%d+}\r\n%s' % (len(head), head) for _ in range(3000))
        r = c.cmd(b'APPEND INBOX ' + many)
        assert r.ok and r.code.startswith(b'APPENDUID'), r
        first, last = map(int, r.code.split()[2].split(b':'))
        assert last - first == 2999
        assert int(c.ok(b'STATUS INBOX (MESSAGES)').lines(b'STATUS')[0][1][1]) == have + 3000


def test_append_limit(w):
    """The lowest of all: ours by the configuration, here the host's, and STATUS and LIST tell the same."""
    old, new = w.dovecot('.'), w.dovecot('/', store='sdbox', capability='+APPENDLIMIT=4000')
    user = w.user(old, new)
    w.filled(old, user, {(): 4, ('A',): 3})
    for d, limit in ((w.wherryd(old, new), 4000), (w.wherryd(old, new, more={'limits': 'message_bytes = 2000\n'}), 2000)):
        with d.connect(user) as c:
            assert b'APPENDLIMIT=%d' % limit in c.capability()
            c.select(b'INBOX')
            for items, want in ((b'APPENDLIMIT', b'APPENDLIMIT'), (b'MESSAGES APPENDLIMIT UIDNEXT', b'MESSAGES')):
                row = c.ok(b'STATUS INBOX.A (%s)' % items).lines(b'STATUS')[0]
                got = dict(zip(row[1][::2], row[1][1::2]))
                assert got[b'APPENDLIMIT'] == b'%d' % limit and want in got, row
            rows = c.ok(b'LIST "" * RETURN (STATUS (APPENDLIMIT))').lines(b'STATUS')
            assert len(rows) >= 2 and all(b'APPENDLIMIT' in r[1] for r in rows), rows
            c.ok(b'STATUS INBOX.A (UIDVALIDITY)')
    with d.connect(user) as c:
        c.no([b'APPEND INBOX ', bytearray(2001)], b'TOOBIG')
        assert c.append(b'INBOX', mail.message('fits', 1000)).ok


def test_compress_mbsync(w):
    """A client that compresses by itself: what it fetched is what old had, and nothing is fetched again."""
    s = Scene(w)
    client = Mbsync(w.place, s.user)
    client.run(s.d.tls_port)
    assert [x for x in client.output.splitlines() if client.asks(x) and 'COMPRESS DEFLATE' in x], client.output[:2000]
    plain = Mbsync(w.place, s.user)
    plain.run(s.old.tls_port)
    assert messages(client.mail) == messages(plain.mail)
    client.run(s.d.tls_port)
    assert client.bodies() == 0
