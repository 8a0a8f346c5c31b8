"""What the session itself does with the bytes of its client: compression, who the client is, small extensions."""

import random
import zlib

from wharf import mail
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
