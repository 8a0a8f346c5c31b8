"""A new host that takes mail: Postfix (or Dovecot's submission service) in front of a Dovecot that mail is delivered to.

Postfix runs as a plain process with configuration, queue and data of its own. Mail for new.test goes over LMTP to the
mailboxes of the new Dovecot, all other mail is swallowed; who may sign in is asked of that Dovecot."""

import os
import re
import shutil
import subprocess
import time

from . import imap
from .place import Process, Trouble, answers, tail, wait_for
from .servers import Dovecot

MASTER = '''{lines}
postlog unix-dgram n - n - 1 postlogd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
lmtp unix - - n - - lmtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
'''
SASL = '-o smtpd_sasl_auth_enable=yes -o smtpd_authorized_xclient_hosts=%s'


class MailDovecot(Dovecot):
    """The new host's Dovecot with LMTP, its submission service, and an address at which Postfix asks for passwords."""

    def __init__(self, place, name='mail', relay=None, **more):
        self.lmtp, self.auth, self.submission, self.submissions = (place.port() for _ in range(4))
        self.relay = relay or place.port()
        extra = '''protocols = imap lmtp submission
auth_username_format = %Ln
hostname = dovecot.test
submission_relay_host = 127.0.0.1
submission_relay_port = {relay}
submission_relay_trusted = yes
submission_max_mail_size = 100M
login_trusted_networks = 127.0.0.0/8
postmaster_address = postmaster@new.test
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {lmtp}
  }}
}}
service auth {{
  inet_listener {{
    address = 127.0.0.1
    port = {auth}
  }}
}}
service submission-login {{
  inet_listener submission {{
    port = {sub}
  }}
  inet_listener submissions {{
    port = {subs}
    ssl = yes
  }}
}}
'''.format(lmtp=self.lmtp, auth=self.auth, sub=self.submission, subs=self.submissions, relay=self.relay)
        super().__init__(place, name, style='/', store='sdbox', extra=extra, **more)

    def service(self):
        return Service(self, self.submission, self.submissions)


class Service:
    """Where to submit: port with STARTTLS and without, tls_port with TLS."""

    def __init__(self, server, port, tls_port):
        self.server, self.port, self.tls_port = server, port, tls_port


class Postfix:
    """port and tls_port take XCLIENT from this machine, bare_port and bare_tls_port do not; relay_port takes all mail without
    asking who sends it (for the Dovecot in front of it)."""

    refuses = frozenset()

    def __init__(self, place, dovecot, name='postfix', size=100 << 20):
        self.place, self.name, self.dovecot = place, name, dovecot
        d = self.dir = place.folder(name)
        self.port, self.tls_port, self.bare_port, self.bare_tls_port = (place.port() for _ in range(4))
        self.relay_port = dovecot.relay
        for sub in ('etc', 'spool', 'data', 'log'):
            os.mkdir('%s/%s' % (d, sub))
        shutil.chown(d + '/data', 'postfix')
        self.log = d + '/log/maillog'
        wrap = ' -o smtpd_tls_wrappermode=yes'
        here, nobody = SASL % '127.0.0.0/8', SASL % ''
        lines = '\n'.join('127.0.0.1:%d inet n - n - 300 smtpd %s' % x for x in (
            (self.port, here), (self.tls_port, here + wrap), (self.bare_port, nobody), (self.bare_tls_port, nobody + wrap),
            (self.relay_port, '-o smtpd_sasl_auth_enable=no -o smtpd_relay_restrictions=permit_mynetworks,reject')))
        place.write(d + '/etc/master.cf', MASTER.format(lines=lines))
        place.write(d + '/etc/main.cf', '''compatibility_level = 3.6
queue_directory = {d}/spool
data_directory = {d}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = loopback-only
inet_protocols = ipv4
maillog_file = {log}
maillog_file_prefixes = {d}
myhostname = postfix.test
mydestination =
alias_maps =
local_recipient_maps =
mynetworks = 127.0.0.0/8
transport_maps = inline:{{ {{new.test=lmtp:inet:127.0.0.1:{lmtp}}} }}
default_transport = discard:far
relay_domains =
smtpd_tls_cert_file = {p.cert}
smtpd_tls_key_file = {p.key}
smtpd_tls_security_level = may
smtpd_sasl_type = dovecot
smtpd_sasl_path = inet:127.0.0.1:{auth}
smtpd_sasl_security_options = noanonymous
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
default_process_limit = 300
message_size_limit = {size}
mailbox_size_limit = 0
smtpd_peername_lookup = no
disable_dns_lookups = yes
smtp_host_lookup = native
'''.format(d=d, log=self.log, p=place, lmtp=dovecot.lmtp, auth=dovecot.auth, size=size))
        self.process = None

    def start(self):
        if not os.path.exists('/usr/lib/postfix/sbin/master'):
            raise Trouble('no Postfix: run contrib/setup')
        r = subprocess.run(['/usr/sbin/postfix', '-c', self.dir + '/etc', 'check'], stdin=subprocess.DEVNULL,
                           capture_output=True, timeout=60)
        if r.returncode:
            raise Trouble('postfix check: %s' % r.stderr.decode(errors='replace'))
        lock = self.dir + '/spool/pid/master.pid'
        if os.path.exists(lock):
            os.unlink(lock)
        self.process = Process(self.place, ['/usr/lib/postfix/sbin/master', '-c', self.dir + '/etc', '-d'],
                               self.dir + '/log/out')
        try:
            wait_for(lambda: self.up() or not self.process.alive(), 30, 'Postfix to listen')
            if not self.process.alive():
                raise Trouble('Postfix ended at once')
        except Trouble as e:
            raise Trouble('%s\n%s\n%s' % (e, tail(self.log), tail(self.dir + '/log/out')))
        return self

    def up(self):
        return all(answers(p) for p in (self.port, self.tls_port, self.bare_port, self.bare_tls_port, self.relay_port))

    def stop(self):
        self.process.stop()

    def service(self, xclient=True):
        if xclient:
            return Service(self, self.port, self.tls_port)
        return Service(self, self.bare_port, self.bare_tls_port)

    def logged(self):
        with open(self.log, errors='replace') as f:
            return f.read()


def settings(place, directory, service, side='new', tls='starttls', sign_in='same', more=''):
    """The section `submission` of a host."""
    text = 'submission {\nhost = "127.0.0.1"\nport = %d\ntls = "%s"\n' % (
        service.tls_port if tls == 'implicit' else service.port, tls)
    if tls != 'none':
        text += 'ca = "%s"\n' % place.ca
    if side == 'new':
        text += 'sign_in = "%s"\n' % sign_in
        if sign_in != 'same':
            secret = place.write(directory + '/relay', 'masterpass\n' if sign_in != 'relay' else 'pw\n', 0o600)
            text += 'master_user = "%s"\nmaster_password_file = "%s"\n' % (
                'relay' if sign_in == 'relay' else 'master', secret)
    return text + more + '}\n'


def arrived(server, user, count, seconds=30):
    """The messages of INBOX at the new host, once there are so many: [bytes]."""
    end = time.monotonic() + seconds
    while True:
        with server.connect(user) as c:
            n = int(c.select(b'INBOX', b'EXAMINE').lines(b'EXISTS')[0][0])
            if n >= count:
                return [fetch(c, i + 1) for i in range(n)]
        if time.monotonic() > end:
            raise AssertionError('%d messages of %s arrived, not %d' % (n, user, count))
        time.sleep(0.1)


def fetch(c, n):
    r = c.ok('FETCH %d BODY.PEEK[]' % n)
    for row in r.lines(b'FETCH'):
        found = literal_of(row)
        if found is not None:
            return found
    raise imap.Failure('no body of message %d: %r' % (n, r))


def literal_of(row):
    """The longest bytes in a parsed FETCH reply, which is the message."""
    best = None

    def walk(x):
        nonlocal best
        if isinstance(x, (bytes, bytearray)):
            if best is None or len(x) > len(best):
                best = bytes(x)
        elif isinstance(x, (list, tuple)):
            for y in x:
                walk(y)
    walk(row)
    return best


def same_message(sent, got):
    """A delivery puts fields in front; the rest is what was sent, byte by byte."""
    if not got.endswith(sent):
        raise AssertionError('not the bytes that were sent: %r ... %r' % (sent[-200:], got[-200:]))
    head = got[:len(got) - len(sent)]
    if not re.fullmatch(rb'((Return-Path|Delivered-To|Received|X-Original-To|Message-Id|Date|From): ?[^\r]*\r\n([ \t][^\r]*\r\n)*)*',
                        head, re.I):
        raise AssertionError('something else was put in front: %r' % head)
