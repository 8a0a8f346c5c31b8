"""Real mail servers: Dovecot 2.3, Cyrus 3.6, Courier 5, each in a folder of its own on free ports.

The facts behind the odd lines:
- the three packages exclude one another in Debian, so Cyrus's and Courier's imapd come from where
  contrib/setup unpacked them, while their helpers are installed;
- Courier's paths are compiled in, so it gets a mount namespace in which they are its own folder;
- Courier takes a lock through gamin, which needs seconds here and leaves a process behind: no locks;
- mail is owned by a bare number rather than by a user, so that nothing is added to /etc/passwd.
"""

import os
import shutil
import subprocess

from . import imap
from .place import CACHE, Process, Trouble, answers, tail, wait_for

MAIL_ID = 5000


class Server:
    """What the three have in common. Subclasses set: name, sep, prefix, port, tls_port, log, and `refuses`,
    the kinds of odd content that this server does not take."""

    refuses = frozenset()

    def connect(self, user=None, password='pw', tls='none', **more):
        port = self.tls_port if tls == 'implicit' else self.port
        c = imap.Conn('127.0.0.1', port, tls, self.place.ca, **more)
        if user:
            c.login(user, password)
        return c

    def view(self, *parts):
        """The name of a mailbox on this server, from its levels as text; INBOX is ()."""
        if not parts:
            return b'INBOX'
        return self.prefix + self.sep.join(imap.mutf7(p) for p in parts)

    def up(self):
        return all(answers(p) for p in (self.port, self.tls_port))

    def start(self):
        self.spawn()
        try:
            wait_for(lambda: self.up() or not self.process.alive(), 30, '%s to listen' % self.name)
            if not self.process.alive():
                raise Trouble('%s ended at once' % self.name)
        except Trouble as e:
            raise Trouble('%s\n%s' % (e, tail(self.log)))
        return self

    def stop(self):
        self.process.stop()

    def add_user(self, user, password='pw'):
        pass


class Dovecot(Server):
    """Style '.' is Maildir++ with prefix INBOX., style '/' has none and is maildir (layout fs) or sdbox.

    Any user may sign in with `password`; `master` with masterpass may sign in for others as user*master or by
    SASL PLAIN with an authorization identity."""

    refuses = frozenset(['empty', 'badkeyword', 'slash'])

    def __init__(self, place, name='dovecot', style='/', store='maildir', fsync='never', capability=None,
                 connections=None, extra='', password='pw', quota=None,
                 sent='Sent', archive=None, full=False):
        self.place, self.name, self.style, self.store = place, name, style, store
        if style == '.':
            self.refuses = self.refuses - {'slash'}  # the listescape plugin
        else:
            self.refuses = self.refuses | {'tilde'}
        self.sep, self.prefix = (b'.', b'INBOX.') if style == '.' else (b'/', b'')
        self.fsync, self.capability, self.connections = fsync, capability, connections
        self.extra, self.password, self.quota, self.sent = extra, password, quota, sent
        self.archive = archive
        self.full = full  # with ACL and METADATA
        place.certificates()
        self.dir = place.folder(name)
        self.port, self.tls_port = place.port(), place.port()
        self.log = self.dir + '/log'
        self.mail = self.dir + '/mail'
        os.mkdir(self.mail)
        os.chown(self.mail, MAIL_ID, MAIL_ID)
        self.conf = place.write(self.dir + '/dovecot.conf', self.text())
        place.write(self.dir + '/masters', 'master:{PLAIN}masterpass\n')

    def text(self):
        location = {'.': 'maildir:~/Maildir', '/': 'maildir:~/Maildir:LAYOUT=fs'}[self.style]
        if self.store == 'sdbox':
            location = 'sdbox:~/mail'
        optional = ''
        if self.capability:
            optional += 'imap_capability = %s\n' % self.capability
        if self.connections:
            optional += 'mail_max_userip_connections = %d\n' % self.connections
        if self.fsync:
            optional += 'mail_fsync = %s\n' % self.fsync
        plugins = 'listescape' if self.style == '.' else ''
        imap_plugins = ''
        if self.quota:
            plugins += ' quota'
            imap_plugins += ' imap_quota'
            optional += 'plugin {\n quota = count:User quota\n quota_vsizes = yes\n quota_rule = *:storage=%s\n}\n' \
                % self.quota
        if self.full:
            plugins += ' acl'
            imap_plugins += ' imap_acl'
            optional += 'imap_metadata = yes\nmail_attribute_dict = file:%h/attributes\nplugin {\n acl = vfile\n acl_anyone = allow\n acl_user = %u\n}\n'
        if imap_plugins:
            optional += 'protocol imap {\n mail_plugins = %s%s\n}\n' % (plugins, imap_plugins)
        boxes = ''.join('  mailbox "%s" {\n    special_use = \\%s\n  }\n' % (b, u) for b, u in (
            ('Drafts', 'Drafts'), (self.sent, 'Sent'), ('Trash', 'Trash'), ('Junk', 'Junk'),
            (self.archive, 'Archive')) if b)
        return '''base_dir = {d}/run
state_dir = {d}/state
instance_name = {n}
log_path = {d}/log
protocols = imap
listen = 127.0.0.1
first_valid_uid = 1000
mail_uid = {id}
mail_gid = {id}
mail_location = {location}
mail_plugins = {plugins}
{optional}
ssl = yes
ssl_cert = <{p.cert}
ssl_key = <{p.key}
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_master_user_separator = *
auth_failure_delay = 0
passdb {{
  driver = passwd-file
  args = {d}/masters
  master = yes
  result_success = continue
}}
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={id} gid={id} home={d}/mail/%u
}}
namespace inbox {{
  inbox = yes
  separator = {sep}
  prefix = {prefix}
{boxes}}}
service imap-login {{
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
  service_count = 0
  process_min_avail = 1
  client_limit = 2000
}}
service imap {{
  process_limit = 2000
  service_count = 100
}}
service anvil {{
  client_limit = 6000
}}
service auth {{
  client_limit = 6000
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
{extra}
'''.format(d=self.dir, n=os.path.basename(self.place.dir) + '-' + self.name, p=self.place, id=MAIL_ID,
           location=location, plugins=plugins, optional=optional, sep=self.sep.decode(),
           prefix=self.prefix.decode(), port=self.port, tls_port=self.tls_port, extra=self.extra,
           password=self.password, boxes=boxes)

    def spawn(self):
        self.process = Process(self.place, ['/usr/sbin/dovecot', '-F', '-c', self.conf], self.dir + '/out')

    def maildir(self, user, *parts):
        """The folder of a mailbox, to put into it what APPEND refuses (style '.' only)."""
        base = '%s/%s/Maildir' % (self.mail, user)
        return base + ('/.' + '.'.join(imap.mutf7(p).decode() for p in parts) if parts else '')

    def sessions(self):
        """The pids of the processes that serve signed-in connections now."""
        out = subprocess.run(['pgrep', '-P', str(self.process.pid), '-x', 'imap'], capture_output=True).stdout
        return [int(pid) for pid in out.split()]

    def crash(self):
        """End it at once with everything it runs, as if the machine went away."""
        children = subprocess.run(['pgrep', '-P', str(self.process.pid)], capture_output=True).stdout.split()
        self.process.kill()
        for pid in children:
            try:
                os.kill(int(pid), 9)
            except ProcessLookupError:
                pass
        wait_for(lambda: not answers(self.port), 10, 'the port to close')

    def doveadm(self, *args, **more):
        return subprocess.run(['doveadm', '-c', self.conf] + list(args), stdin=subprocess.DEVNULL,
                              capture_output=True, **more)


class Cyrus(Server):
    """Separator / and no prefix (altnamespace). `master` with masterpass may authorise as others."""

    sep, prefix = b'/', b''
    refuses = frozenset(['nul', 'empty', 'headerless', 'barelf', 'quote', 'backslash', 'percent', 'brace', 'slash'])

    def __init__(self, place, name='cyrus', munge=False, settings=None, services=()):
        """settings take the place of lines of imapd.conf, or are added to them; services are more lines of cyrus.conf, in
        which {b} and {d} stand for the programs' folder and for this server's."""
        self.place, self.name = place, name
        place.certificates()
        d = self.dir = place.folder(name)
        self.port, self.tls_port = place.port(), place.port()
        self.log = d + '/out'
        self.bin = CACHE + '/cyrus-imapd/usr/lib/cyrus/bin'
        if not os.path.exists(self.bin + '/imapd'):
            raise Trouble('no Cyrus in %s: run contrib/setup' % CACHE)
        for sub in ('conf/socket', 'conf/db', 'conf/log', 'spool', 'sieve', 'run/proc', 'run/lock'):
            os.makedirs(d + '/' + sub)
        conf = '''configdirectory: {d}/conf
defaultpartition: default
partition-default: {d}/spool
proc_path: {d}/run/proc
mboxname_lockpath: {d}/run/lock
sievedir: {d}/sieve
altnamespace: yes
unixhierarchysep: yes
virtdomains: off
admins: cyrus
proxyservers: master
allowplaintext: yes
sasl_mech_list: PLAIN LOGIN
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: {d}/sasldb2
autocreate_quota: 0
autocreate_inbox_folders: Drafts | Sent | Trash | Junk
autocreate_subscribe_folders: Sent
xlist-drafts: Drafts
xlist-sent: Sent
xlist-trash: Trash
xlist-junk: Junk
maxlogins_per_user: 0
maxlogins_per_host: 0
munge8bit: {munge}
lmtpsocket: {d}/run/lmtp
idlesocket: {d}/run/idle
notifysocket: {d}/run/notify
tls_server_cert: {p.cert}
tls_server_key: {p.key}
tls_sessions_db_path: {d}/conf/tls_sessions.db
syslog_prefix: cyrus
expunge_mode: immediate
delete_mode: immediate
servername: cyrus.test
'''.format(d=d, p=place, munge='yes' if munge else 'no')
        lines = dict(x.split(': ', 1) for x in conf.splitlines())
        lines.update(settings or {})
        self.conf = place.write(d + '/imapd.conf', ''.join('%s: %s\n' % x for x in lines.items()))
        self.services = place.write(d + '/cyrus.conf', '''START {{
  recover cmd="/usr/lib/cyrus/bin/ctl_cyrusdb -C {d}/imapd.conf -r"
}}
SERVICES {{
  imap  cmd="{b}/imapd -C {d}/imapd.conf -U 1000" listen="127.0.0.1:{port}" prefork=1 maxchild=500 babysit=0
  imaps cmd="{b}/imapd -C {d}/imapd.conf -s -U 1000" listen="127.0.0.1:{tls}" prefork=0 maxchild=500
{more}}}
EVENTS {{
  checkpoint cmd="/usr/lib/cyrus/bin/ctl_cyrusdb -C {d}/imapd.conf -c" period=30
}}
DAEMON {{
  idled cmd="{b}/idled -C {d}/imapd.conf"
}}
'''.format(d=d, b=self.bin, port=self.port, tls=self.tls_port,
           more=''.join('  %s\n' % x.format(b='/usr/lib/cyrus/bin', d=d) for x in services)))
        for user, pw in (('cyrus', 'cyruspw'), ('master', 'masterpass')):
            self.add_user(user, pw)
        for top, dirs, files in os.walk(d):
            for f in [top] + [top + '/' + x for x in files]:
                shutil.chown(f, 'cyrus', 'mail')

    def add_user(self, user, password='pw'):
        r = subprocess.run(['/usr/sbin/saslpasswd2', '-p', '-c', '-f', self.dir + '/sasldb2', '-u', 'cyrus.test', user],
                           input=password.encode(), capture_output=True)
        if r.returncode:
            raise Trouble('saslpasswd2: %r' % r.stderr)
        shutil.chown(self.dir + '/sasldb2', 'cyrus', 'mail')

    def spawn(self):
        self.process = Process(self.place, ['/usr/lib/cyrus/bin/master', '-C', self.conf, '-M', self.services,
                                            '-p', self.dir + '/run/master.pid'],
                               self.log, user='cyrus', group='mail', extra_groups=[])


class Courier(Server):
    """Separator . and prefix INBOX. ; no impersonation, no LITERAL+, MOVE, UNSELECT, CONDSTORE, MULTIAPPEND."""

    sep, prefix = b'.', b'INBOX.'
    refuses = frozenset(['slash', 'emoji', 'badkeyword'])

    SCRIPT = '''set -e
mount --bind "$D/etc" /etc/courier
mount --bind "$D/run" /run/courier
/usr/sbin/makeuserdb -f /etc/courier/userdb
/usr/lib/courier/courier-authlib/authdaemond &
auth=$!
tcpd="/usr/sbin/couriertcpd -address=127.0.0.1 -maxprocs=200 -maxperip=200 -nodnslookup -noidentlookup"
IMAP_TLS=0 $tcpd "$PORT" "$O/lib/courier/courier/imaplogin" "$O/bin/imapd" Maildir &
plain=$!
IMAP_TLS=1 $tcpd "$TLSPORT" /usr/bin/couriertls -server -tcpd "$O/lib/courier/courier/imaplogin" "$O/bin/imapd" Maildir &
tls=$!
trap 'kill $plain $tls $auth; exit 0' TERM
wait $plain
'''

    def __init__(self, place, name='courier', users=()):
        self.place, self.name = place, name
        place.certificates()
        d = self.dir = place.folder(name)
        self.port, self.tls_port = place.port(), place.port()
        self.log = d + '/out'
        if not os.path.exists(CACHE + '/courier-imap/usr/bin/imapd'):
            raise Trouble('no Courier in %s: run contrib/setup' % CACHE)
        for sub in ('etc', 'run/authdaemon', 'mail'):
            os.makedirs(d + '/' + sub)
        os.chown(d + '/mail', MAIL_ID, MAIL_ID)
        for mount in ('/etc/courier', '/run/courier'):
            os.makedirs(mount, exist_ok=True)
        shutil.chown(d + '/run/authdaemon', 'courier', 'courier')
        place.write(d + '/etc/authdaemonrc', 'authmodulelist="authuserdb"\nauthmodulelistorig="authuserdb"\ndaemons=5\n'
                    'authdaemonvar=/run/courier/authdaemon\nDEBUG_LOGIN=0\nDEFAULTOPTIONS=""\nLOGGEROPTS=""\n')
        place.write(d + '/etc/imapaccess', '')
        # Accounts are compiled into a database at the start; there are enough for every test of a run.
        self.free = ['user%03d' % n for n in range(1, 41)]
        rows = []
        for user in self.free:
            rows.append('%s\tuid=%d|gid=%d|home=%s/mail/%s|shell=/bin/sh|systempw=%s\n' % (
                user, MAIL_ID, MAIL_ID, d, user, self.crypt('pw')))
        place.write(d + '/etc/userdb', ''.join(rows), 0o700)

    def crypt(self, password, known={}):
        if password not in known:
            known[password] = subprocess.run(['openssl', 'passwd', '-1', '-salt', 'wharf', password],
                                             capture_output=True, check=True).stdout.decode().strip()
        return known[password]

    def new_user(self):
        """Courier's users are numbered."""
        user = self.free.pop(0)
        home = '%s/mail/%s' % (self.dir, user)
        os.mkdir(home)
        subprocess.run(['maildirmake.courier', home + '/Maildir'], check=True)
        for top, _, _ in os.walk(home):
            os.chown(top, MAIL_ID, MAIL_ID)
        return user

    def maildir(self, user, *parts):
        base = '%s/mail/%s/Maildir' % (self.dir, user)
        return base + ('/.' + '.'.join(imap.mutf7(p).decode() for p in parts) if parts else '')

    def spawn(self):
        cap = 'IMAP4rev1 UIDPLUS CHILDREN NAMESPACE THREAD=ORDEREDSUBJECT THREAD=REFERENCES SORT QUOTA IDLE'
        env = dict(PATH='/usr/sbin:/usr/bin:/sbin:/bin', D=self.dir, O=CACHE + '/courier-imap/usr', PORT=str(self.port),
                   TLSPORT=str(self.tls_port), IMAP_CAPABILITY=cap, IMAP_CAPABILITY_TLS=cap + ' AUTH=PLAIN',
                   IMAP_KEYWORDS='1', IMAP_ACL='1', IMAP_PROXY='0', IMAP_IDLE_TIMEOUT='60',
                   IMAP_MAILBOX_SANITY_CHECK='1', IMAP_DISABLETHREADSORT='0', IMAP_CHECK_ALL_FOLDERS='0',
                   IMAP_OBSOLETE_CLIENT='0', IMAP_USELOCKS='0', IMAP_ENHANCEDIDLE='0', IMAP_TRASHFOLDERNAME='Trash',
                   IMAP_EMPTYTRASH='', IMAP_MOVE_EXPUNGE_TO_TRASH='0', IMAP_TLS_REQUIRED='0', IMAP_STARTTLS='YES',
                   COURIERTLS='/usr/bin/couriertls', TLS_CERTFILE=self.place.both, TLS_TRUSTCERTS=self.place.ca,
                   TLS_VERIFYPEER='NONE')
        script = self.place.write(self.dir + '/start', self.SCRIPT, 0o755)
        self.process = Process(self.place, ['unshare', '-m', '--propagation', 'private', 'sh', script], self.log,
                               env=env)
