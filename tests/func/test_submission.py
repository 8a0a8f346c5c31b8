"""Submission through wherryd to Postfix and to Dovecot: what is sent arrives byte by byte, in everybody's way of sending."""

import base64
import concurrent.futures
import os
import re
import smtplib
import socket
import ssl
import subprocess

from wharf import mail
from wharf.submission import MailDovecot, Postfix, arrived, same_message, settings
from wharf.world import until


def hosts(w):
    """(old, the new Dovecot, Postfix in front of it)."""
    new = w.server(MailDovecot)
    return w.dovecot('.'), new, w.server(Postfix, dovecot=new)


def daemon(w, service=None, sign_in='same', tls='starttls', **options):
    old, new, postfix = hosts(w)
    service = service or postfix.service()
    return w.wherryd(old, new, submission=lambda d: settings(w.place, d, service, tls=tls, sign_in=sign_in), **options)


def client(w, d, user=None, tls='implicit', password='pw', timeout=60):
    context = ssl.create_default_context(cafile=w.place.ca)
    if tls == 'implicit':
        c = smtplib.SMTP_SSL('127.0.0.1', d.smtps_port, context=context, timeout=timeout)
    else:
        c = smtplib.SMTP('127.0.0.1', d.smtp_port, timeout=timeout)
        if tls == 'starttls':
            c.starttls(context=context)
    c.ehlo('client.test')
    if user:
        c.login(user, password)
    return c


def letter(seed, size=0):
    """A message without Return-Path, which every delivery takes away."""
    return mail.message(seed, size).split(b'\r\n', 1)[1]


def auth(c, user, password):
    """One try, where smtplib would go through all mechanisms."""
    return c.docmd('AUTH', 'PLAIN ' + base64.b64encode(('\0%s\0%s' % (user, password)).encode()).decode())


def address(user):
    return user + '@new.test'


def send(c, user, body, to=None, options=(), rcpt=()):
    refused = c.sendmail(address(user), to or [address(user)], body, options, rcpt)
    assert not refused, refused


def test_every_way_in(w):
    """same, master, authzid and relay; with and without XCLIENT; STARTTLS and TLS on both sides; PLAIN and LOGIN."""
    _, new, postfix = hosts(w)
    n = 0
    for xclient, sign_in, tls, mine in ((True, 'same', 'starttls', 'implicit'), (False, 'same', 'implicit', 'starttls'),
                                        (False, 'master', 'starttls', 'implicit'), (False, 'authzid', 'implicit', 'implicit'),
                                        (False, 'relay', 'starttls', 'implicit'), (True, 'relay', 'none', 'starttls')):
        d = daemon(w, postfix.service(xclient), sign_in, tls)
        user = w.user(d.old)
        with client(w, d, user, mine) as c:
            body = letter('way-%d' % n)
            send(c, user, body, options=['BODY=8BITMIME'])
            n += 1
        same_message(body, arrived(new, user, 1)[0])
        row = d.events('message')[0]
        assert row['verdict'] == 'accepted' and row['recipients'] == '1' and int(row['size']) == len(body), row
        assert row['queue_id'] in postfix.logged(), row
        if xclient:
            until(lambda: re.search(r'%s: client=\S*\[127\.0\.0\.1\]:?\d*.*sasl_username=%s' % (row['queue_id'], user),
                                    postfix.logged()), 10, 'the person in the log of Postfix')
        d.stop()
        w.daemons.remove(d)
        last = d.events('counters')[-1]
        assert last['messages_submitted'] == '1' and last['bytes_submitted'] == str(len(body)), last


def test_what_is_announced(w):
    _, _, postfix = hosts(w)
    d = daemon(w)
    user = w.user(d.old)
    with client(w, d, tls='none') as c:
        before = set(c.esmtp_features)
        assert 'starttls' in before and 'auth' not in before, before
        assert c.docmd('AUTH', 'PLAIN AGEAYg==')[0] == 538
    with client(w, d) as c:
        first = set(c.esmtp_features)
        assert first == {'pipelining', '8bitmime', 'size', 'dsn', 'chunking', 'smtputf8', 'enhancedstatuscodes', 'auth'}, first
        assert c.esmtp_features['size'] == str(100 << 20), c.esmtp_features
        c.login(user, 'pw')
        c.ehlo('again.test')
        assert set(c.esmtp_features) == first - {'auth'}, c.esmtp_features
        assert c.docmd('AUTH', 'PLAIN AGEAYg==')[0] == 503
        assert c.docmd('VRFY', user)[0] == 252 and c.docmd('HELP')[0] == 214 and c.noop()[0] == 250
        assert c.docmd('MAIL', 'FROM:<a@new.test> HOLDFOR=3')[0] == 555
        assert c.docmd('BURL', 'imap://x LAST')[0] == 500


def test_before_sign_in(w):
    d = daemon(w)
    with client(w, d) as c:
        assert c.docmd('MAIL', 'FROM:<a@new.test>') == (530, b'5.7.0 Sign in first')
        assert c.docmd('DATA')[0] == 530 and c.docmd('RSET')[0] == 250
        assert c.docmd('AUTH', 'CRAM-MD5')[0] == 504
        assert c.docmd('AUTH', 'PLAIN !!!')[0] == 501
        assert c.docmd('HELO', 'me')[0] == 502
        c.send(b'BDAT 5\r\nQUIT\r' b'NOOP\r\n')  # its octets are no commands
        assert c.getreply()[0] == 530 and c.getreply()[0] == 250
    with smtplib.SMTP_SSL('127.0.0.1', d.smtps_port, context=ssl.create_default_context(cafile=w.place.ca)) as c:
        assert c.docmd('MAIL', 'FROM:<a@new.test>')[0] == 503


def test_wrong_password(w):
    d = daemon(w)
    user = w.user(d.old)
    with client(w, d) as c:
        for _ in range(2):
            assert auth(c, user, 'wrong') == (535, b'5.7.8 Name or password is wrong')
        assert auth(c, user, 'pw')[0] == 235
    with client(w, d) as c:
        c.send(b'AUTH LOGIN\r\n%s\r\n%s\r\nAUTH PLAIN\r\n*\r\n' % (base64.b64encode(user.encode()), base64.b64encode(b'wrong')))
        assert [c.getreply()[0] for _ in range(5)] == [334, 334, 535, 334, 501]
    assert d.events('sign_in_failed')[0]['protocol'] == 'submission'


def test_first_message_starts_the_account(w):
    """As with IMAP: the account is known, the folders are mirrored and INBOX moves, though the session is over long since."""
    d = daemon(w)
    _, new, _ = hosts(w)
    user = w.user(d.old)
    w.filled(d.old, user, {(): 30, ('Kept',): 4})
    with client(w, d, user) as c:
        send(c, user, letter('first'))
    until(lambda: [e for e in d.events('moved') if e.get('account') == user], 20, 'INBOX to move')
    with d.connect(user) as c:
        until(lambda: b'first' in b''.join(x.text for x in c.cmd(b'FETCH 1:* BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)]').untagged)
              if c.select(b'INBOX') else False, 20, 'the message behind the moved ones')
        assert any(b'Kept' in x.text for x in c.ok(b'LIST "" *').untagged)


def test_bytes(w):
    """Dots, 8 bit, long lines, an empty message, a large one: as they were sent."""
    d = daemon(w)
    _, new, _ = hosts(w)
    user = w.user(d.old)
    # with all the fields that a host would add
    odd = [b'.\r\n..\r\n...x\r\n' * 2000, 'Äpfel\r\n'.encode(), 'Äpfel\r\n'.encode('latin-1'), b'.\r\n', b'\r\n\r\n.\r\n\r\n',
           b'* 1 FETCH (UID 1)\r\na1 OK done\r\n{3}\r\n)\r\n"\\\r\n', b'250 2.0.0 Ok\r\n421 no\r\nQUIT\r\n', b'x' * 990 + b'\r\n']
    bodies = [letter('odd-%d' % n).split(b'\r\n\r\n', 1)[0] + b'\r\n\r\n' + b for n, b in enumerate(odd)]
    bodies += [letter('larger', 300000)]
    with client(w, d, user) as c:
        for b in bodies:
            send(c, user, b, options=['BODY=8BITMIME'])
    got = arrived(new, user, len(bodies))
    for b in bodies:
        assert any(g.endswith(b) for g in got), b[:1000]


def test_bdat(w):
    d = daemon(w)
    _, new, _ = hosts(w)
    user = w.user(d.old)
    body = letter('chunks', 250000)
    with client(w, d, user) as c:
        wire = b'MAIL FROM:<%s> SIZE=%d\r\nRCPT TO:<%s>\r\n' % (address(user).encode(), len(body), address(user).encode())
        cuts = [0, 1, 5, 70000, 200001, len(body)]
        for a, b in zip(cuts, cuts[1:]):
            last = b == len(body)
            wire += b'BDAT %d%s\r\n' % (b - a, b' LAST' if last else b'') + body[a:b]
        c.send(wire + b'NOOP\r\n')
        codes = [c.getreply() for _ in range(2 + len(cuts) - 1 + 1)]
        assert all(x[0] == 250 for x in codes), codes
        assert c.docmd('BDAT', 'x')[0] == 501
        c.send(b'BDAT 6 LAST\r\nQUIT\r\n')  # no transaction: refused, and its octets are no commands
        assert c.getreply()[0] == 503
        assert c.noop()[0] in (250, 421)
    same_message(body, arrived(new, user, 1)[0])


def test_options_reach_the_host(w):
    """DSN and SMTPUTF8: Postfix has them in its log."""
    d = daemon(w)
    _, _, postfix = hosts(w)
    user = w.user(d.old)
    with client(w, d, user) as c:
        send(c, user, letter('dsn'), options=['RET=HDRS', 'ENVID=mine+2B1'],
             rcpt=['NOTIFY=SUCCESS,FAILURE', 'ORCPT=rfc822;asked-for@new.test'])
        c.mail('ä@new.test', ['SMTPUTF8', 'BODY=8BITMIME'])
        assert c.rcpt('ö@far.test')[0] == 250
        assert c.data('Subject: Grüße\r\n\r\nÄpfel\r\n'.encode())[0] == 250
    until(lambda: 'to=<ö@far.test>' in postfix.logged(), 10, 'the address in UTF-8')
    # the success notice that NOTIFY asks for comes back to the sender
    got = arrived(hosts(w)[1], user, 2)
    assert any(b'Original-Envelope-Id: mine+1' in g and b'rfc822;asked-for@new.test' in g for g in got), got


def test_pipelining_keeps_order(w):
    d = daemon(w)
    user = w.user(d.old)
    a = address(user).encode()
    with client(w, d, user) as c:
        c.send(b'NOOP\r\nMAIL FROM:<%s>\r\nRCPT TO:<not an address>\r\nRCPT TO:<%s>\r\nHELP\r\nVRFY x\r\nXYZZY\r\nRCPT TO:<%s>\r\n'
               b'RSET\r\nDATA\r\n' % (a, a, a))
        assert [c.getreply()[0] for _ in range(10)] == [250, 250, 501, 250, 214, 252, 500, 250, 250, 503]
        c.send(b'MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n' % (a, a))
        assert [c.getreply()[0] for _ in range(3)] == [250, 250, 354]
        c.send(b'Subject: x\r\n\r\n.\r\nMAIL FROM:<%s>\r\nQUIT\r\n' % a)
        assert [c.getreply()[0] for _ in range(3)] == [250, 250, 221]


def test_dovecot_as_new(w):
    """Dovecot's submission service, which does not let in by XCLIENT LOGIN alone."""
    old, new, postfix = hosts(w)
    for sign_in, tls in (('same', 'starttls'), ('master', 'implicit'), ('authzid', 'starttls')):
        d = daemon(w, new.service(), sign_in, tls)
        user = w.user(old)
        body = letter('dovecot-' + sign_in)
        with client(w, d, user) as c:
            send(c, user, body)
        same_message(body, arrived(new, user, 1)[0])
        assert d.events('message')[0]['verdict'] == 'accepted'
        d.stop()
        w.daemons.remove(d)


def test_old_submission_checks(w):
    """No IMAP at all: the old host's submission service says whose password is right."""
    old, new, postfix = hosts(w)
    d = daemon(w, start=False)
    with open(d.conf) as f:
        text = f.read()
    text = re.sub(r'imaps? = \{[^}]*\}\n', '', text)
    text = re.sub(r'imap \{[^}]*\}\n', '', text, count=1)
    text = re.sub(r'old \{\n', 'old {\n' + settings(w.place, d.dir, postfix.service(), side='old'), text)
    text = re.sub(r'new \{\nimap \{[^}]*\}\n', 'new {\n', text)
    w.place.write(d.conf, text)
    d.port, d.tls_port = d.smtp_port, d.smtps_port
    d.ports = [d.smtp_port, d.smtps_port]
    d.start()
    user = w.user(old)
    with client(w, d) as c:
        assert auth(c, user, 'wrong')[0] == 535, 'XCLIENT let somebody in without a password'
        c.login(user, 'pw')
        body = letter('no imap')
        send(c, user, body)
    same_message(body, arrived(new, user, 1)[0])


def test_hosts_down(w):
    old, new, postfix = w.dovecot('.', extra='# stopped by submission'), w.server(MailDovecot), None
    postfix = w.server(Postfix, dovecot=new, name='postfix-down')
    d = w.wherryd(old, new, submission=lambda x: settings(w.place, x, postfix.service()))
    user, other = w.user(old), w.user(old)
    with client(w, d, user) as c:  # the list is known, and the password for a while
        c.noop()
    postfix.stop()
    with client(w, d) as c:
        code, text = auth(c, user, 'pw')
        assert code == 421 and text.startswith(b'4.3.2'), (code, text)
    old.stop()
    with client(w, d) as c:
        code, text = auth(c, other, 'pw')
        assert code == 454 and text.startswith(b'4.7.0'), (code, text)
    old.start()
    postfix.start()
    with client(w, d, other) as c:
        send(c, other, letter('up again'))


test_hosts_down.limit = 150


def test_injection_at_starttls(w):
    d = daemon(w)
    s = socket.create_connection(('127.0.0.1', d.smtp_port), timeout=20)
    s.recv(1000)
    s.sendall(b'EHLO x\r\nSTARTTLS\r\nMAIL FROM:<a@b>\r\n')
    said = b''
    while True:
        got = s.recv(4096)
        if not got:
            break
        said += got
    assert b'501 5.5.2' in said and b'220 2.0.0' not in said, said
    s.close()


def test_smuggling_to_the_host(w):
    """The published ways to end a message in the middle, against a Postfix: one message at most, and never the smuggled one."""
    d = daemon(w)
    _, new, postfix = hosts(w)
    user = w.user(d.old)
    a = address(user).encode()
    for n, end in enumerate((b'\n.\n', b'\n.\r\n', b'\r\n.\n', b'\r.\r', b'\r.\r\n', b'\r\n.\r', b'\r\n.\r\r\n', b'\n.\r', b'\r.\n',
                             b'\r\r\n.\r\r\n', b'\r\n\x00.\r\n')):
        with client(w, d, user) as c:
            c.mail(address(user))
            c.rcpt(address(user))
            assert c.docmd('DATA')[0] == 354
            c.send(b'Subject: innocent %d\r\n\r\nbody%sMAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\n'
                   % (n, end, a, a))
            code = c.getreply()[0]
            assert code == (250 if b'\x00' in end else 521), (end, code)
            c.close()
    with client(w, d, user) as c:
        send(c, user, b'Subject: the end\r\n\r\n')
    got = arrived(new, user, 2)
    assert len(got) == 2 and not any(re.search(rb'(?m)^Subject: smuggled', g.split(b'\r\n\r\n')[0]) for g in got), got


def test_many_sessions(w):
    d = daemon(w, more={'limits': 'max_connections_per_address = 500\n'})
    _, new, _ = hosts(w)
    users = [w.user(d.old) for _ in range(10)]
    with client(w, d, users[0]):
        pass

    def one(n):
        user = users[n % len(users)]
        with client(w, d, user, timeout=120) as c:
            body = letter('many-%d' % n, 20000)
            send(c, user, body)
            return user, body
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        sent = list(pool.map(one, range(100)))
    for user in users:
        got = arrived(new, user, 10, 60)
        assert len(got) == 10
        for u, body in sent:
            assert u != user or any(g.endswith(body) for g in got)
    assert len(d.events('message')) == 100


test_many_sessions.limit = 180


def test_large_message(w):
    """50 MB need no more memory than a small one."""
    d = daemon(w)
    _, new, _ = hosts(w)
    user = w.user(d.old)
    with client(w, d, user) as c:
        send(c, user, letter('small'))
    d.connect(user).close()
    arrived(new, user, 1)
    before = d.peak_kib()
    body = letter('huge', 50 << 20)
    with client(w, d, user, timeout=120) as c:
        send(c, user, body)
    grown = d.peak_kib() - before
    assert grown < 8 * 1024 or sanitized(d), grown
    got = [g for g in arrived(new, user, 2, 60) if len(g) > 1 << 20]
    same_message(body, got[0])


test_large_message.limit = 180


def sanitized(d):
    """AddressSanitizer keeps what was freed for a while."""
    with open('/proc/%d/maps' % d.process.pid) as f:
        return 'libasan' in f.read()


# ---- other people's clients

def test_swaks(w):
    d = daemon(w)
    _, new, _ = hosts(w)
    user = w.user(d.old)
    for how in (['--tls'], ['--tls', '--pipeline', '--auth', 'LOGIN'], ['--tlsc']):
        port = d.smtps_port if '--tlsc' in how else d.smtp_port
        r = subprocess.run(['swaks', '--server', '127.0.0.1:%d' % port, '--from', address(user), '--to', address(user),
                            '--auth-user', user, '--auth-password', 'pw', '--tls-ca-path', w.place.ca] +
                           (['--auth', 'PLAIN'] if '--auth' not in how else []) + how,
                           stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        assert r.returncode == 0, r.stdout.decode() + r.stderr.decode()
    arrived(new, user, 3)


def test_msmtp(w):
    d = daemon(w)
    _, new, _ = hosts(w)
    user = w.user(d.old)
    folder = w.place.folder('msmtp')
    conf = w.place.write(folder + '/rc', 'account default\nhost localhost\nport %d\ntls on\ntls_starttls on\ntls_trust_file %s\nauth plain\n'
                         'user %s\npassword pw\nfrom %s\ndsn_notify failure\ndsn_return headers\n' % (
                             d.smtp_port, w.place.ca, user, address(user)), 0o600)
    body = letter('msmtp')
    r = subprocess.run(['msmtp', '-C', conf, address(user)], input=body, capture_output=True, timeout=60)
    assert r.returncode == 0, r.stderr
    assert body.split(b'\r\n\r\n', 1)[1] in arrived(new, user, 1)[0]


def test_curl(w):
    d = daemon(w)
    _, new, _ = hosts(w)
    user = w.user(d.old)
    folder = w.place.folder('curl')
    body = letter('curl', 200000)
    with open(folder + '/m', 'wb') as f:
        f.write(body)
    r = subprocess.run(['curl', '-sS', '--cacert', w.place.ca, '--url', 'smtps://localhost:%d/client.test' % d.smtps_port, '-u',
                        user + ':pw', '--mail-from', address(user), '--mail-rcpt', address(user), '-T', folder + '/m'],
                       stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    assert r.returncode == 0, r.stderr
    same_message(body, arrived(new, user, 1)[0])


def test_nodemailer(w):
    d = daemon(w)
    _, new, _ = hosts(w)
    user = w.user(d.old)
    folder = w.place.folder('nodemailer')
    body = letter('nodemailer', 150000)
    with open(folder + '/m', 'wb') as f:
        f.write(body)
    script = w.place.write(folder + '/send.js', '''
const [port, secure, ca, user, file] = process.argv.slice(2)
const fs = require('fs')
const t = require('nodemailer').createTransport({host: 'localhost', port: +port, secure: secure === 'yes', requireTLS: true, pool: true,
  maxConnections: 2, tls: {ca: fs.readFileSync(ca)}, auth: {user: user, pass: 'pw'}})
const one = () => t.sendMail({envelope: {from: user + '@new.test', to: [user + '@new.test'], dsn: {id: 'x', return: 'headers',
  notify: 'never', recipient: user + '@new.test'}}, raw: fs.readFileSync(file)})
Promise.all([one(), one(), one()]).then(x => { console.log(x[0].response); t.close() }, e => { console.error(e); process.exit(1) })
''')
    for secure in ('no', 'yes'):
        r = subprocess.run(['node', script, str(d.smtps_port if secure == 'yes' else d.smtp_port), secure, w.place.ca, user, folder + '/m'],
                           stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
                           env=dict(os.environ, NODE_PATH='/usr/share/nodejs'))
        assert r.returncode == 0 and b'queued as' in r.stdout, r.stdout + r.stderr
    for got in arrived(new, user, 6):
        same_message(body, got)
