"""Real calendar and contact servers: Radicale 3.1, Xandikos 0.2, Cyrus 3.6 (httpd), each in a folder of its own on free ports.

All take Basic sign-in, on a plain port and on one with TLS. The facts behind the odd lines:
- Radicale speaks HTTP/1.0 and closes after each reply; nginx in front of it gives TLS and kept connections;
- Xandikos serves one person and asks for no password: each user gets a process on a socket of its own, and nginx in front
  asks for the password and picks the socket by the user's name;
- Radicale and Xandikos wait for the disk after every item, some 50 ms each time here: they are run without;
- Cyrus makes a calendar home only for a user who has an INBOX;
- Cyrus sends invitations by running a sendmail to which it speaks SMTP: ours keeps each in a file, so that they can be
  counted."""

import os
import subprocess
import urllib.parse

from .place import Process, Trouble, answers, tail, wait_for
from .servers import Cyrus

NGINX = '''daemon off;
user root;
worker_processes 2;
pid {d}/nginx.pid;
error_log {d}/nginx.log;
events {{ worker_connections 2000; }}
http {{
  access_log off;
  client_max_body_size 0;
  client_body_temp_path {d}/tmp-body;
  proxy_temp_path {d}/tmp-proxy;
  fastcgi_temp_path {d}/tmp-f;
  uwsgi_temp_path {d}/tmp-u;
  scgi_temp_path {d}/tmp-s;
  keepalive_requests 1000000;
  server {{
    listen 127.0.0.1:{port};
    listen 127.0.0.1:{tls} ssl;
    ssl_certificate {p.cert};
    ssl_certificate_key {p.key};
    absolute_redirect off;
    location / {{
      {auth}
      proxy_pass {target};
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Connection "";
      proxy_read_timeout 120s;
      proxy_redirect off;
    }}
  }}
}}
'''

SENDMAIL = '''#!/usr/bin/python3
import os, sys, tempfile
def say(text):
    sys.stdout.write(text + '\\r\\n')
    sys.stdout.flush()
say('220 post ESMTP')
mail = None
for line in sys.stdin.buffer:
    word = line.strip().upper()
    if mail is not None:
        if line.strip() != b'.':
            mail.write(line)
            continue
        mail.close()
        os.rename(mail.name, mail.name.replace('/new.', '/mail.'))
        mail = None
    elif word == b'DATA':
        mail = tempfile.NamedTemporaryFile(dir=%r, prefix='new.', delete=False)
        say('354 go on')
        continue
    elif word == b'QUIT':
        say('221 bye')
        break
    say('250 ok')
'''


def unsynced(place):
    """The environment in which Python's programs do not wait for the disk."""
    d = place.path('unsynced')
    if not os.path.exists(d):
        os.mkdir(d)
        place.write(d + '/sitecustomize.py', 'import os\nos.fsync = os.fdatasync = lambda fd: None\nos.sync = lambda: None\n')
    return dict(os.environ, PYTHONPATH=d, PYTHONDONTWRITEBYTECODE='1')


class Nginx:
    """In front of a server: TLS, kept connections, and sign-in where `auth` says so."""

    def __init__(self, place, d, target, auth=''):
        self.place, self.log = place, d + '/nginx.log'
        self.port, self.tls_port = place.port(), place.port()
        self.conf = place.write(d + '/nginx.conf', NGINX.format(d=d, p=place, port=self.port, tls=self.tls_port,
                                                                target=target, auth=auth))

    def start(self):
        self.process = Process(self.place, ['/usr/sbin/nginx', '-c', self.conf, '-e', self.log], self.log)
        wait_for(lambda: answers(self.port) and answers(self.tls_port) or not self.process.alive(), 20, 'nginx to listen')
        if not self.process.alive():
            raise Trouble('nginx ended at once\n' + tail(self.log))

    def stop(self):
        self.process.stop()


class DavServer:
    """What they have in common: dav_port (plain), dav_tls_port, and where things are.

    `refuses` names the kinds of items (see davdata.ODD) that it answers with an error; 'quotedname' is a collection whose name
    needs percent-encoding."""

    refuses = frozenset()
    invites = False  # whether a PUT of an event with attendees sends mail
    quoted = '%40'   # how it spells @ in hrefs

    def dav_user(self, user):
        """The name to sign in with."""
        return user

    def segment(self, user):
        """The user's segment of a path, as this server spells it."""
        return urllib.parse.quote(self.dav_user(user), safe='' if self.quoted == '%40' else '@')

    def url(self, tls=False):
        """What an operator writes into the configuration, without templates."""
        return '%s://127.0.0.1:%d/' % (('https', self.dav_tls_port) if tls else ('http', self.dav_port))

    def wait(self, process, what):
        try:
            wait_for(lambda: self.up() or not process.alive(), 30, '%s to listen' % self.name)
            if not process.alive():
                raise Trouble('%s ended at once' % self.name)
        except Trouble as e:
            raise Trouble('%s\n%s' % (e, tail(self.log)))
        return self


class Radicale(DavServer):
    """Users of the htpasswd file, which is read at each request. `front` puts nginx before both ports instead of before the one
    with TLS alone."""

    refuses = frozenset(['nouid', 'twouids', 'badrrule', 'emptyzone', 'notcalendar', 'nocarduid', 'nofn'])

    def __init__(self, place, name='radicale', front=False):
        self.place, self.name = place, name
        place.certificates()
        d = self.dir = place.folder(name)
        self.log = d + '/log'
        self.bare_port = place.port()
        self.nginx = Nginx(place, d, 'http://127.0.0.1:%d' % self.bare_port)
        self.dav_tls_port = self.nginx.tls_port
        self.dav_port = self.nginx.port if front else self.bare_port
        self.users = place.write(d + '/users', '')
        self.storage = d + '/storage'
        self.conf = place.write(d + '/config', '''[server]
hosts = 127.0.0.1:{port}
max_connections = 100
timeout = 120
[auth]
type = htpasswd
htpasswd_filename = {d}/users
htpasswd_encryption = plain
delay = 0
realm = Calendars of {name}
[rights]
type = owner_only
[storage]
filesystem_folder = {d}/storage
[web]
type = none
[logging]
level = warning
'''.format(d=d, port=self.bare_port, name=name))

    def start(self):
        self.process = Process(self.place, ['/usr/bin/radicale', '--config', self.conf], self.log,
                               env=unsynced(self.place))
        self.wait(self.process, self.name)
        self.nginx.start()
        return self

    def up(self):
        return answers(self.bare_port)

    def stop(self):
        self.nginx.stop()
        self.process.stop()

    def add_user(self, user, password='pw'):
        with open(self.users, 'a') as f:
            f.write('%s:%s\n' % (user, password))

    def principal(self, user):
        return '/%s/' % self.segment(user)

    calendars = contacts = principal

    def plant(self, user, path, items):
        """Put items into a collection's folder, many times faster than by PUT, and with no question asked."""
        folder = self.storage + '/collection-root' + urllib.parse.unquote(path)
        for name, body in items:
            with open(os.path.join(folder, name), 'wb') as f:
                f.write(body)


class Xandikos(DavServer):
    """A process for each user."""

    refuses = frozenset(['emptyzone', 'notcalendar'])

    def __init__(self, place, name='xandikos'):
        self.place, self.name = place, name
        place.certificates()
        d = self.dir = place.folder(name)
        self.log = d + '/log'
        os.mkdir(d + '/sockets')
        self.users = place.write(d + '/users', '')
        self.nginx = Nginx(place, d, 'http://unix:%s/sockets/$remote_user' % d,
                           'auth_basic "Xandikos";\n      auth_basic_user_file %s;' % self.users)
        self.dav_port, self.dav_tls_port = self.nginx.port, self.nginx.tls_port
        self.people = {}

    @property
    def process(self):
        return self.nginx.process

    def start(self):
        self.nginx.start()
        for user in self.people:
            self.spawn(user)
        return self

    def up(self):
        return answers(self.dav_port) and all(p and p.alive() for p in self.people.values())

    def stop(self):
        self.nginx.stop()
        for user, process in self.people.items():
            if process:
                process.stop()
                self.people[user] = None

    def add_user(self, user, password='pw'):
        with open(self.users, 'a') as f:
            f.write('%s:{PLAIN}%s\n' % (user, password))
        self.spawn(user)

    def spawn(self, user):
        socket = '%s/sockets/%s' % (self.dir, user)
        if self.people.get(user):
            return
        args = ['/usr/bin/xandikos', '-d', '%s/data-%s' % (self.dir, user), '--defaults', '--current-user-principal',
                '/%s/' % user.replace('%', '%%'), '-l', socket]
        process = self.people[user] = Process(self.place, args, self.log, env=unsynced(self.place))
        try:
            wait_for(lambda: os.path.exists(socket) or not process.alive(), 30, 'xandikos of %s' % user)
            if not process.alive():
                raise Trouble('xandikos ended at once')
        except Trouble as e:
            raise Trouble('%s\n%s' % (e, tail(self.log)))

    def principal(self, user):
        return '/%s/' % self.segment(user)

    def calendars(self, user):
        return self.principal(user) + 'calendars/'

    def contacts(self, user):
        return self.principal(user) + 'contacts/'

    def plant(self, user, path, items):
        """As Radicale's; each collection is a git repository."""
        folder = '%s/data-%s%s' % (self.dir, user, urllib.parse.unquote(path))
        for name, body in items:
            with open(os.path.join(folder, name), 'wb') as f:
                f.write(body)
        git = ['git', '-C', folder, '-c', 'user.name=wharf', '-c', 'user.email=wharf@example.org', '-c', 'gc.auto=0',
               '-c', 'safe.directory=*', '-c', 'core.autocrlf=false']
        for args in (['add', '-A'], ['commit', '-q', '-m', 'planted']):
            subprocess.run(git + args, check=True, stdin=subprocess.DEVNULL, capture_output=True)


class CyrusDav(Cyrus, DavServer):
    """Cyrus with httpd. Layout 'plain': user names without a domain, separator /. Layout 'domains': the user is user@two.test,
    separator . inside, so that the same person's paths and the mailboxes behind them differ from the other layout's.

    `cyrus` with cyruspw is administrator, `master` with masterpass may act for others (Authorize-As)."""

    refuses = frozenset(['nouid', 'twouids', 'method', 'badrrule', 'vcard21', 'noend', 'emptyzone', 'nozone', 'notcalendar', 'nocarduid',
                         'nofn', 'quotedname'])
    invites = True
    quoted = '@'

    def __init__(self, place, name='cyrus-dav', layout='plain'):
        self.layout = layout
        self.address = address = 'two.test' if layout == 'domains' else 'internal.test'
        self.dav_port, self.dav_tls_port = place.port(), place.port()
        domains = layout == 'domains'
        settings = {
            'httpmodules': 'caldav carddav', 'httpallowcompress': 'no', 'caldav_historical_age': '-1d',
            'caldav_realm': name, 'calendar_user_address_set': address, 'autocreate_inbox_folders': 'Drafts',
            'autocreate_subscribe_folders': 'Drafts', 'conversations': 'no', 'duplicatesuppression': 'no',
            'expunge_mode': 'delayed', 'delete_mode': 'delayed',  # else an expunged item ends the life of all sync-tokens
        }
        if domains:
            settings.update(virtdomains='userid', defaultdomain='one.test', unixhierarchysep='no', altnamespace='no')
        services = ['http cmd="{b}/httpd -C {d}/imapd.conf -U 1000" listen="127.0.0.1:%d" prefork=1 maxchild=100' % self.dav_port,
                    'https cmd="{b}/httpd -s -C {d}/imapd.conf -U 1000" listen="127.0.0.1:%d" prefork=0 maxchild=100' %
                    self.dav_tls_port]
        self.post = place.folder(name + '-post')
        os.chmod(self.post, 0o1777)
        settings['sendmail'] = place.write(self.post + '/sendmail', SENDMAIL % self.post, 0o755)
        if not os.path.exists('/usr/lib/cyrus/bin/httpd'):
            raise Trouble('no httpd of Cyrus: run contrib/setup')
        super().__init__(place, name, settings=settings, services=services)

    def up(self):
        return super().up() and all(answers(p) for p in (self.dav_port, self.dav_tls_port))

    def dav_user(self, user):
        return user + '@two.test' if self.layout == 'domains' else user

    def add_user(self, user, password='pw', **more):
        super().add_user(self.dav_user(user), password, **more)
        if user not in ('cyrus', 'master'):
            self.connect(self.dav_user(user), password).close() # makes INBOX

    def principal(self, user):
        return '/dav/principals/user/%s/' % self.segment(user)

    def calendars(self, user):
        return '/dav/calendars/user/%s/' % self.segment(user)

    def contacts(self, user):
        return '/dav/addressbooks/user/%s/' % self.segment(user)

    def mail(self, user):
        """The address under which Cyrus knows the user."""
        return '%s@%s' % (user, self.address)

    def mails(self):
        """The bytes of every mail that left."""
        out = []
        for f in sorted(os.listdir(self.post)):
            if f.startswith('mail.'):
                with open(os.path.join(self.post, f), 'rb') as g:
                    out.append(g.read())
        return out
