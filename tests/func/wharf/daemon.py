"""wherryd as the tests run it: a generated wherryd.conf, a process, its log, and wherryctl beside it."""

import json
import os
import re
import signal
import subprocess

from . import imap
from .place import Process, Trouble, answers, tail, wait_for

SANITIZER = re.compile(r'ERROR: (Address|Leak|Thread)Sanitizer|runtime error:|SUMMARY: \w+Sanitizer')


class Wherryd:
    """One daemon between the servers `old` and `new`.

    sign_in is same, master or authzid. `more` maps a section to further lines of it: {'limits': 'x = 1\\n'};
    'old.imap' and 'new.imap' are the hosts' own.

    Mailboxes move when they are opened and not before, unless more['copy'] says `sweep = yes`: most tests are about that moment.

    dav is (old, new, options): calendar servers of wharf.dav, and settings of the sections old.dav and new.dav beside their URL
    (options['old'], options['new']: lines). Without IMAP hosts (old and new are None) the old calendar server checks passwords.

    submission is a function of the daemon's folder that gives the new host's section `submission`; then ports 587 and 465
    are there too, as smtp_port and smtps_port."""

    def __init__(self, place, bin_dir, old, new, sign_in='master', old_tls='implicit', new_tls='starttls', user='%u',
                 more=None, store=None, level='info', log_format='logfmt',
                 submission=None, dav=None):
        self.place, self.bin, self.old, self.new = place, bin_dir, old, new
        self.dir = place.folder('wherryd')
        self.store = store or self.dir + '/store'
        os.makedirs(self.store, mode=0o700, exist_ok=True)
        self.port, self.tls_port = place.port(), place.port()
        self.smtp_port, self.smtps_port = place.port(), place.port()
        self.dav_port = place.port()
        self.log = self.dir + '/log'
        self.process = None
        self.codes = []
        self.env = {}  # for its environment
        place.certificates()
        with open(place.key) as f:
            key = place.write(self.dir + '/key.pem', f.read(), 0o600)
        more = dict(more or {})

        def section(name, text):
            return '%s {\n%s%s}\n' % (name, text, more.pop(name, ''))

        def host(side, server, tls):
            text = 'host = "127.0.0.1"\nport = %d\ntls = "%s"\nuser = "%s"\n' % (
                server.tls_port if tls == 'implicit' else server.port, tls, user)
            if tls != 'none':
                text += 'ca = "%s"\n' % place.ca
            if side == 'new':
                text += 'sign_in = "%s"\n' % sign_in
                if sign_in != 'same':
                    secret = place.write(self.dir + '/master', 'masterpass\n', 0o600)
                    text += 'master_user = "master"\nmaster_password_file = "%s"\n' % secret
                if sign_in == 'master':
                    text += 'master_separator = "*"\n'
            return 'imap {\n%s%s}\n' % (text, more.pop(side + '.imap', ''))
        def dav_host(side, server):
            tls = bool(dav[2].get('tls', True))
            text = 'url = "%s"\n%s' % (server.url(tls), dav[2].get(side, ''))
            return 'dav {\n%s%s}\n' % (text, 'ca = "%s"\n' % place.ca if tls else '')

        text = ''
        if old:
            text += 'imap = {"127.0.0.1:%d"}\nimaps = {"127.0.0.1:%d"}\n' % (self.port, self.tls_port)
        self.ports = [self.port, self.tls_port] if old else []
        if dav:
            text += 'dav = {"127.0.0.1:%d"}\n' % self.dav_port
            self.ports.append(self.dav_port)
        if submission:
            text += 'submission = {"127.0.0.1:%d"}\nsubmissions = {"127.0.0.1:%d"}\n' % (self.smtp_port, self.smtps_port)
        text = section('listen', text)
        text += section('tls', 'certificate = "%s"\nkey = "%s"\n' % (place.cert, key))
        if dav and not old:
            text += section('auth', 'by = "dav"\n')
        text += section('old', (host('old', old, old_tls) if old else '') + (dav_host('old', dav[0]) if dav else ''))
        text += section('new', (host('new', new, new_tls) if new else '') + (dav_host('new', dav[1]) if dav else '') +
                        (submission(self.dir) if submission else ''))
        text += section('store', 'path = "%s"\n' % self.store)
        text += section('log', 'format = "%s"\nlevel = "%s"\n' % (log_format, level))
        copy = more.get('copy', '')
        text += section('copy', ('' if 'settle' in copy else 'settle_seconds = 1\n') +
                        ('' if 'sweep' in copy else 'sweep = no\n') +
                        ('' if 'wait' in copy else 'wait = 10m\n'))
        for name in list(more):
            text += section(name, '') if name else more.pop(name)
        self.conf = place.write(self.dir + '/wherryd.conf', text)

    def program(self, name):
        for d in (self.bin, self.bin + '/src', self.bin + '/src/app', self.bin + '/src/ctl'):
            if os.path.exists(os.path.join(d, name)):
                return os.path.join(d, name)
        raise Trouble('no %s in %s' % (name, self.bin))

    def start(self):
        env = dict(os.environ)
        env.setdefault('ASAN_OPTIONS', 'detect_leaks=1:quarantine_size_mb=8')
        env.setdefault('UBSAN_OPTIONS', 'print_stacktrace=1')
        env.update(self.env)
        self.process = Process(self.place, [self.program('wherryd'), '-c', self.conf], self.log, env=env)
        wait_for(lambda: all(answers(p) for p in self.ports) or not self.process.alive(), 20,
                 'wherryd to listen')
        if not self.process.alive():
            raise Trouble('wherryd ended at once:\n' + tail(self.log))
        return self

    def stop(self):
        """End it in an orderly way; a sanitizer's finding or a bad exit code is a failure."""
        if not self.process:
            return
        was_alive = self.process.alive()
        code = self.process.stop(30)
        self.process = None
        with open(self.log, errors='replace') as f:
            text = f.read()
        bad = SANITIZER.search(text)
        if bad:
            raise AssertionError('sanitizer: ' + text[bad.start():bad.start() + 3000])
        if not was_alive or code != 0:
            raise AssertionError('wherryd ended %s with code %s' % ('on SIGTERM' if was_alive else 'by itself', code))

    def kill(self):
        self.process.kill()
        self.process = None

    def connect(self, user=None, password='pw', tls='implicit', **more):
        c = imap.Conn('127.0.0.1', self.tls_port if tls == 'implicit' else self.port, tls, self.place.ca, **more)
        if user:
            c.login(user, password)
        return c

    def peak_kib(self):
        return self.memory('VmHWM')

    def memory(self, what='VmRSS'):
        with open('/proc/%d/status' % self.process.pid) as f:
            for line in f:
                if line.startswith(what + ':'):
                    return int(line.split()[1])
        raise Trouble('no %s' % what)

    def ctl(self, *args):
        r = subprocess.run([self.program('wherryctl'), '-c', self.conf] + list(args), stdin=subprocess.DEVNULL,
                           capture_output=True, timeout=60)
        if r.returncode:
            raise Trouble('wherryctl %s: %d %s' % (' '.join(args), r.returncode, r.stderr.decode(errors='replace')))
        return r.stdout.decode()

    def ctl_json(self, *args):
        return json.loads(self.ctl(*args, '--json'))

    def logged(self):
        with open(self.log, errors='replace') as f:
            return f.read()

    def events(self, name):
        """The log lines of one event, as dictionaries."""
        out = []
        for line in self.logged().splitlines():
            if re.search(r'(^| )event=%s( |$)' % re.escape(name), line):
                out.append({k: v.strip('"') for k, v in re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)', line)})
        return out
