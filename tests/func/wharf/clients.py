"""Mail clients that keep a copy on disk: mbsync, offlineimap, neomutt, and a small one on top of imapflow. Each knows whether it
fetched a message body, by its own record of the conversation, and what its folders hold."""

import hashlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import time

from .place import CACHE, Trouble


def maildir_files(top):
    """{path below top: (inode, mtime, size)} of every message file."""
    out = {}
    for folder, _, files in os.walk(top):
        if os.path.basename(folder) in ('cur', 'new'):
            for f in files:
                s = os.stat(os.path.join(folder, f))
                out[os.path.relpath(os.path.join(folder, f), top)] = (s.st_ino, s.st_mtime_ns, s.st_size)
    return out


def messages(top):
    """{folder: sorted [(digest without the lines that clients add, flags)]}."""
    out = {}
    for path in maildir_files(top):
        with open(os.path.join(top, path), 'rb') as f:
            body = re.sub(rb'(?m)^X-(TUID|OfflineIMAP): .*\r?\n', b'', f.read()).replace(b'\r\n', b'\n')
        flags = ''.join(sorted(path.rsplit(':2,', 1)[1])) if ':2,' in path else ''
        out.setdefault(os.path.dirname(os.path.dirname(path)), []).append((hashlib.sha256(body).hexdigest(), flags))
    return {k: sorted(v) for k, v in out.items()}


class Client:
    def run(self, port):
        """One run against 127.0.0.1:port (implicit TLS); returns its output."""
        r = subprocess.run(self.command(port), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           timeout=120, env=dict(os.environ, HOME=self.dir))
        self.output = r.stdout.decode(errors='replace')
        if r.returncode:
            raise Trouble('%s: exit code %d\n%s' % (self.name, r.returncode, self.output[-3000:]))
        return self.output

    def bodies(self):
        """How many requests for message bodies the last run made."""
        return len(re.findall(r'BODY(?:\.PEEK)?\[\]|RFC822[ )]', '\n'.join(
            line for line in self.output.splitlines() if self.asks(line))))


class Mbsync(Client):
    name = 'mbsync'

    def __init__(self, place, user, patterns='*', debug=True, plain=False):
        self.place, self.user, self.debug, self.plain = place, user, debug, plain
        self.dir = place.folder('mbsync')
        self.mail = self.dir + '/mail'
        self.patterns = patterns
        os.mkdir(self.mail)

    def command(self, port):
        conf = self.place.write(self.dir + '/mbsyncrc', '''IMAPAccount host
Host localhost
Port {port}
User {user}
Pass pw
SSLType {tls}
CertificateFile {ca}
AuthMechs LOGIN
PipelineDepth 50

IMAPStore far
Account host

MaildirStore near
Path {mail}/
Inbox {mail}/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns {patterns}
Create Both
Expunge None
CopyArrivalDate yes
Sync All
SyncState *
'''.format(port=port, user=self.user, ca=self.place.ca, mail=self.mail, patterns=self.patterns,
           tls='None' if self.plain else 'IMAPS'))
        return ['mbsync', '-c', conf] + (['-Dn'] if self.debug else ['-V']) + ['-a']

    def asks(self, line):
        return '>>>' in line

    def state(self):
        """{folder: [(far UID, near UID)]} of its state files."""
        out = {}
        for folder, _, files in os.walk(self.mail):
            if '.mbsyncstate' in files:
                with open(os.path.join(folder, '.mbsyncstate')) as f:
                    text = f.read()
                pairs = re.findall(r'^(\d+) (\d+) ', text, re.M)
                head = re.findall(r'^(FarUidValidity) (\d+)', text, re.M)
                out[os.path.relpath(folder, self.mail)] = (head, sorted(pairs))
        return out


class Offlineimap(Client):
    name = 'offlineimap'

    def __init__(self, place, user):
        self.place, self.user = place, user
        self.dir = place.folder('offlineimap')
        self.mail = self.dir + '/mail'

    def command(self, port):
        conf = self.place.write(self.dir + '/offlineimaprc', '''[general]
accounts = a
metadata = {d}/meta
maxsyncaccounts = 1
fsync = False

[Account a]
localrepository = near
remoterepository = far

[Repository near]
type = Maildir
localfolders = {d}/mail

[Repository far]
type = IMAP
remotehost = localhost
remoteport = {port}
remoteuser = {user}
remotepass = pw
ssl = yes
sslcacertfile = {ca}
auth_mechanisms = PLAIN
maxconnections = 1
'''.format(d=self.dir, port=port, user=self.user, ca=self.place.ca))
        return ['offlineimap', '-c', conf, '-o', '-1', '-u', 'basic', '-d', 'imap']

    def asks(self, line):
        return ' writer > ' in line

    def state(self):
        """{file: lines} of its status: UIDs with flags. Kept as text or SQLite, so by name and size of rows."""
        import sqlite3
        out = {}
        for folder, _, files in os.walk(self.dir + '/meta'):
            for f in files:
                path = os.path.join(folder, f)
                if 'Status-sqlite' in folder:
                    with sqlite3.connect(path) as db:
                        try:
                            out[f] = sorted(db.execute('select id, flags from status'))
                        except sqlite3.DatabaseError:
                            pass
                elif 'FolderValidity' in folder:
                    with open(path) as g:
                        out['validity ' + os.path.relpath(path, self.dir)] = g.read()
        return out


class Neomutt(Client):
    """Its header cache and message cache are what it keeps. Driven in a terminal of its own: each mailbox is opened, and the search
    for a word in all bodies makes it fetch what it has not got."""

    name = 'neomutt'

    def __init__(self, place, user, boxes=('INBOX',)):
        self.place, self.user, self.boxes = place, user, boxes
        self.dir = place.folder('neomutt')
        self.mail = self.dir + '/messages'
        os.mkdir(self.mail)
        os.mkdir(self.dir + '/headers')

    def run(self, port, keys=''):
        self.output = ''
        for box in self.boxes:
            self.one(port, box, keys)
            keys = ''
        return self.output

    def one(self, port, box, keys):
        log = self.dir + '/debug'
        for old in [f for f in os.listdir(self.dir) if f.startswith('debug')]:
            os.unlink(os.path.join(self.dir, old))
        conf = self.place.write(self.dir + '/rc', '''set imap_user="{user}" imap_pass="pw" folder="imaps://localhost:{port}/"
set spoolfile="imaps://localhost:{port}/{box}" header_cache="{d}/headers" message_cachedir="{d}/messages"
set ssl_force_tls=yes certificate_file="{ca}" imap_authenticators="login"
set imap_check_subscribed=no mail_check=0 wait_key=no quit=yes delete=no sort=mailbox-order imap_condstore=yes imap_qresync=yes
set mark_old=no confirmappend=no
push "<limit>~b boat<enter><limit>~A<enter>{keys}<quit>"
'''.format(keys=keys, user=self.user, port=port, box=box, d=self.dir, ca=self.place.ca))
        self.terminal(['neomutt', '-n', '-F', conf, '-d', '3', '-l', log])
        text = ''
        for f in sorted(os.listdir(self.dir)):
            if f.startswith('debug'):
                with open(os.path.join(self.dir, f), errors='replace') as g:
                    text += g.read()
        if 'OP_QUIT' not in text:
            raise Trouble('neomutt did not get far:\n' + text[-2000:])
        self.output += text

    def terminal(self, args):
        """Run in a pseudo-terminal until it ends."""
        pid, fd = pty.fork()
        if pid == 0:
            os.environ.update(HOME=self.dir, TERM='xterm', LC_ALL='C.UTF-8')
            os.execvp(args[0], args)
        end = time.monotonic() + 60
        try:
            while time.monotonic() < end:
                if not select.select([fd], [], [], 1)[0]:
                    continue
                if not os.read(fd, 65536):
                    break
            else:
                os.kill(pid, signal.SIGKILL)
                raise Trouble('neomutt does not end')
        except OSError:
            pass  # the terminal is gone with the program
        finally:
            os.close(fd)
            os.waitpid(pid, 0)

    def asks(self, line):
        return '4> a' in line

    def bodies(self):
        return len(re.findall(r'4> a\d+ UID FETCH \d+ BODY.PEEK\[\]', self.output))

    def headers(self):
        """How many requests for headers of messages the last run made."""
        return len(re.findall(r'4> a\d+ (?:UID )?FETCH [\d:,]+ \(UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK\[HEADER', self.output))


FLOW = r"""
const { ImapFlow } = require('imapflow');
const fs = require('fs');
const [port, user, ca, file, action] = process.argv.slice(2);
const state = fs.existsSync(file) ? JSON.parse(fs.readFileSync(file)) : {};
const out = { bodies: 0, changed: 0, gone: 0, whole: 0 };
async function box(client, path) {
    const now = await client.mailboxOpen(path, { readOnly: false });
    let had = state[path];
    if (!had || had.validity !== String(now.uidValidity)) {
        if (had) out.whole++;
        had = state[path] = { validity: String(now.uidValidity), modseq: '0', messages: {} };
    }
    const since = now.highestModseq && had.modseq !== '0' ? { changedSince: BigInt(had.modseq) } : {};
    const wanted = [];
    if (now.exists && String(now.highestModseq) !== had.modseq)
        for await (const m of client.fetch('1:*', { uid: true, flags: true }, since)) {
            const flags = [...m.flags].filter(f => f !== '\\Recent').sort().join(' ');
            if (!(m.uid in had.messages)) wanted.push(m.uid);
            else if (had.messages[m.uid].flags !== flags) { out.changed++; had.messages[m.uid].flags = flags; }
            if (!(m.uid in had.messages)) had.messages[m.uid] = { flags };
        }
    for (const uid of wanted) {
        const m = await client.fetchOne(String(uid), { source: true }, { uid: true });
        out.bodies++;
        had.messages[uid].size = m.source.length;
    }
    const there = new Set(now.exists ? await client.search({ all: true }, { uid: true }) : []);
    for (const uid of Object.keys(had.messages))
        if (!there.has(Number(uid))) { out.gone++; delete had.messages[uid]; }
    if (Object.keys(had.messages).length !== there.size) throw new Error('messages: ' + path);
    had.modseq = String(now.highestModseq || 0);
}
async function main() {
    const client = new ImapFlow({ host: 'localhost', port: Number(port), secure: true, auth: { user, pass: 'pw' }, qresync: true,
        tls: { ca: fs.readFileSync(ca) }, logger: false, disableAutoIdle: true });
    await client.connect();
    out.enabled = [...client.enabled];
    for (const entry of await client.list())
        if (!entry.flags.has('\\Noselect')) await box(client, entry.path);
    if (action === 'flag') {
        const { exists } = await client.mailboxOpen('INBOX');
        await client.messageFlagsAdd(String(exists), ['$done']);
    }
    await client.logout();
    fs.writeFileSync(file, JSON.stringify(state));
    console.log(JSON.stringify(out));
}
main().catch(e => { console.error(e); process.exit(1); });
"""


class Imapflow(Client):
    """A small synchroniser on top of imapflow, which asks by CONDSTORE and QRESYNC where they are offered."""

    name = 'imapflow'

    def __init__(self, place, user):
        self.place, self.user = place, user
        self.dir = place.folder('imapflow')
        self.script = place.write(self.dir + '/sync.js', FLOW)
        self.file = self.dir + '/state.json'

    def command(self, port):
        return ['node', self.script, str(port), self.user, self.place.ca, self.file, self.action]

    def asks(self, line):
        return True

    def run(self, port, action=''):
        self.action = action
        os.environ['NODE_PATH'] = CACHE + '/node/node_modules'
        super().run(port)
        self.said = json.loads(self.output.splitlines()[-1])
        return self.output

    def bodies(self):
        return self.said['bodies']

    def state(self):
        with open(self.file) as f:
            return {box: (had['validity'], had['messages']) for box, had in json.load(f).items() if had['messages']}
