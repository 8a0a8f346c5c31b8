"""Who gets in, and what those hear who do not."""

import base64
import time

from wharf import imap
from wharf.place import Place


def pair(w):
    return w.dovecot('.'), w.dovecot('/', store='sdbox')


def reads_inbox(d, user, count, password='pw', tls='implicit'):
    with d.connect(user, password, tls) as c:
        got = int(c.select(b'INBOX').lines(b'EXISTS')[0][0])
        assert got == count, got


def test_modes(w):
    """same, master and authzid at the new host; none, starttls and implicit TLS to both."""
    old = w.dovecot('.')
    new = w.dovecot('/', store='sdbox', password='elsewhere')  # so that only a master gets in
    for sign_in, new_host, old_tls, new_tls in (('master', new, 'none', 'none'), ('authzid', new, 'starttls', 'starttls'),
                                                ('same', w.dovecot('/', store='sdbox'), 'implicit', 'implicit')):
        user = w.user(old)
        w.filled(old, user, {(): 3})
        d = w.wherryd(old, new_host, sign_in=sign_in, old_tls=old_tls, new_tls=new_tls)
        reads_inbox(d, user, 3)
        reads_inbox(d, user, 3, tls='starttls')
        d.stop()
        w.daemons.remove(d)


def test_wrong_password(w):
    d = w.wherryd(*pair(w))
    user = w.user(d.old)
    with d.connect() as c:
        waited = []
        for _ in range(3):
            start = time.monotonic()
            c.no(b'LOGIN ' + imap.quote(user) + b' wrong', b'AUTHENTICATIONFAILED')
            waited.append(time.monotonic() - start)
        assert waited[0] >= 0.5 and waited[2] > waited[0] * 1.5, waited
    with d.connect() as c:
        r = c.plain(user, 'wrong')
        assert r.status == b'NO' and r.code == b'AUTHENTICATIONFAILED', r
    reads_inbox(d, user, 0)


def test_attempts_are_limited(w):
    d = w.wherryd(*pair(w), more={'limits': 'sign_in_attempts = 2\n'})
    user = w.user(d.old)
    with d.connect() as c:
        c.send(b'a LOGIN %s x\r\nb LOGIN %s x\r\nc LOGIN %s x\r\n' % ((user.encode(),) * 3))
        said = [x.text for x in c.expect_eof()]
    assert sum(x.startswith((b'a NO', b'b NO', b'c NO')) for x in said) == 2, said
    assert any(x.startswith(b'* BYE') for x in said), said


def test_old_host_down(w):
    old, new = w.dovecot('.', extra='# stopped by its test'), w.dovecot('/', store='sdbox')
    d = w.wherryd(old, new)
    user = w.user(old)
    old.stop()
    with d.connect() as c:
        c.no(b'LOGIN ' + imap.quote(user) + b' pw', b'UNAVAILABLE')
        c.no(b'LOGIN ' + imap.quote(user) + b' wrong', b'UNAVAILABLE')
    old.start()
    with d.connect() as c:
        c.login(user, 'pw')


def test_new_host_down(w):
    old, new = w.dovecot('.'), w.dovecot('/', store='sdbox', extra='# stopped by its test')
    d = w.wherryd(old, new)
    user = w.user(old)
    w.filled(old, user, {(): 3})
    new.stop()
    with d.connect() as c:
        r = c.cmd(b'LOGIN ' + imap.quote(user) + b' pw')
        if r.ok:
            r = c.cmd(b'SELECT INBOX')
        assert r.status == b'NO' and b'AUTHENTICATIONFAILED' not in r.code, r
    new.start()
    reads_inbox(d, user, 3)


def test_certificates_are_checked(w):
    """Another authority than the one that signed: nobody's password is sent there."""
    old, new = pair(w)
    user = w.user(old)
    other = Place()
    other.certificates()
    try:
        d = w.wherryd(old, new, start=False)
        with open(d.conf) as f:
            text = f.read()
        w.place.write(d.conf, text.replace(w.place.ca, other.ca, 1))
        d.start()
        with d.connect() as c:
            c.no(b'LOGIN ' + imap.quote(user) + b' pw', b'UNAVAILABLE')
        d.stop()
        w.place.write(d.conf, text.replace('ca = "%s"' % w.place.ca, 'verify = no', 1))
        d.start()
        with d.connect() as c:
            c.login(user, 'pw')
    finally:
        other.remove()


def test_clear_is_refused(w):
    d = w.wherryd(*pair(w))
    user = w.user(d.old)
    with d.connect(tls='none') as c:
        caps = c.capability()
        assert b'LOGINDISABLED' in caps and b'STARTTLS' in caps and b'AUTH=PLAIN' not in caps, caps
        assert b'LOGINDISABLED' in c.greeting.text or b'CAPABILITY' not in c.greeting.text
        c.no(b'LOGIN ' + imap.quote(user) + b' pw', b'PRIVACYREQUIRED')
        r = c.plain(user, 'pw')
        assert r.status == b'NO' and r.code == b'PRIVACYREQUIRED', r
        c.ok(b'STARTTLS')
        c.wrap()
        caps = c.capability()
        assert b'LOGINDISABLED' not in caps and b'STARTTLS' not in caps and b'AUTH=PLAIN' in caps, caps
        c.login(user, 'pw')
    with d.connect() as c:
        assert b'LOGINDISABLED' not in c.capability()


def test_plaintext_allowed_on_loopback(w):
    d = w.wherryd(*pair(w), more={'listen': 'plaintext = "loopback"\n'})
    user = w.user(d.old)
    with d.connect(tls='none') as c:
        assert b'LOGINDISABLED' not in c.capability()
        c.login(user, 'pw')


def test_mechanisms(w):
    d = w.wherryd(*pair(w))
    user = w.user(d.old)

    def b64(text):
        return base64.b64encode(text.encode())
    with d.connect() as c:
        caps = c.capability()
        assert {b'IMAP4REV1', b'SASL-IR', b'AUTH=PLAIN'} <= caps and {b'LITERAL-', b'LITERAL+'} & caps, caps
        assert c.plain(user, 'pw', ir=True).ok
    with d.connect() as c:
        assert c.plain(user, 'pw', ir=False).ok
    with d.connect() as c:
        assert c.plain(user, 'pw', authzid=user).ok
    with d.connect() as c:  # somebody else's mail is not to be had by an authorization identity
        assert c.plain(user, 'pw', authzid='somebody').status == b'NO'
        assert c.plain('somebody*master', 'masterpass').status == b'NO'
        assert not c.cmd(b'LOGIN "%s*master" masterpass' % user.encode()).ok
    with d.connect() as c:
        tag = c.start(b'AUTHENTICATE LOGIN')
        c.expect(rb'\+ VXNlcm5hbWU6|\+')
        c.send(b64(user) + b'\r\n')
        c.expect(rb'\+ UGFzc3dvcmQ6|\+')
        c.send(b64('pw') + b'\r\n')
        assert c.finish(tag).ok
    with d.connect() as c:
        tag = c.start(b'AUTHENTICATE PLAIN')
        c.expect(rb'\+')
        c.send(b'*\r\n')
        assert c.finish(tag).status == b'BAD'
        tag = c.start(b'AUTHENTICATE PLAIN')
        c.expect(rb'\+')
        c.send(b'@@@ not base64\r\n')
        assert c.finish(tag).status in (b'BAD', b'NO')
        assert c.cmd(b'AUTHENTICATE GSSAPI').status in (b'NO', b'BAD')
        assert c.cmd([b'LOGIN ', bytearray(user.encode()), b' ', bytearray(b'pw')]).ok
        assert c.cmd(b'LOGIN x y').status in (b'BAD', b'NO')
        c.ok(b'NOOP')


def test_one_account(w):
    """User, user and user@example.org are one account and move once."""
    d = w.wherryd(*pair(w), user='%n', more={'': 'default_domain = "example.org"\n'})
    user = w.user(d.old)
    w.filled(d.old, user, {(): 12})
    for name in (user, user.upper(), user + '@example.org', user.title() + '@Example.ORG'):
        reads_inbox(d, name, exists(d.old, user))
    status = d.ctl_json('status')
    assert status['accounts']['total'] == 1, status
    assert status['messages']['found'] == exists(d.old, user), status


def exists(server, user):
    with server.connect(user) as c:
        return int(c.select(b'INBOX', b'EXAMINE').lines(b'EXISTS')[0][0])


def test_passwords_are_not_logged(w):
    d = w.wherryd(*pair(w), level='debug')
    user = w.user(d.old)
    secret = 'Sesam4711'
    with d.connect() as c:
        c.cmd(b'LOGIN ' + imap.quote(user) + b' ' + imap.quote(secret))
        c.plain(user, secret)
        c.cmd([b'LOGIN ', bytearray(user.encode()), b' ', bytearray(secret.encode())])
    text = d.logged()
    for bad in (secret, 'masterpass', base64.b64encode(('\0%s\0%s' % (user, secret)).encode()).decode()):
        assert bad not in text
    r = d.ctl('status')
    assert secret not in r
