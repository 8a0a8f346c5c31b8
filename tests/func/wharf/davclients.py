"""Calendar and contact programs in sync with a server: vdirsyncer, python-caldav, and two that talk as DAVx5 and as Thunderbird
are known to. Each keeps what it knows from run to run; what it transferred is counted by a Recorder between it and the server."""

import json
import os
import subprocess
import uuid

from . import davdata, webdav
from .place import Trouble


class Program:
    def __init__(self, place, user, port):
        """`port` is the recorder's: it stays the same before and after the cutover."""
        self.place, self.user, self.port = place, user, port
        self.dir = place.folder(self.name)

    def execute(self, args, timeout=300, answers=b''):
        r = subprocess.run(args, input=answers, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout,
                           env=dict(os.environ, HOME=self.dir, LC_ALL='C.UTF-8', PYTHONDONTWRITEBYTECODE='1'))
        self.output = r.stdout.decode(errors='replace')
        if r.returncode:
            raise Trouble('%s: exit code %d\n%s' % (self.name, r.returncode, self.output[-3000:]))
        return self.output


class Vdirsyncer(Program):
    """Folders of files on this side."""

    name = 'vdirsyncer'

    def __init__(self, place, user, port, start='/'):
        super().__init__(place, user, port)
        pair = '''[pair {kind}]
a = "{kind}_near"
b = "{kind}_far"
collections = ["from b"]
conflict_resolution = "b wins"
metadata = ["displayname", "color"]

[storage {kind}_near]
type = "filesystem"
path = "{d}/{kind}"
fileext = ".{ext}"

[storage {kind}_far]
type = "{kind}"
url = "http://127.0.0.1:{port}{start}"
username = "{user}"
password = "pw"

'''
        self.conf = place.write(self.dir + '/config', '[general]\nstatus_path = "%s/status"\n\n' % self.dir + ''.join(
            pair.format(kind=k, ext=e, d=self.dir, port=port, user=user, start=start) for k, e in (('caldav', 'ics'), ('carddav', 'vcf'))))
        self.discovered = False

    def run(self, discover=False):
        command = ['vdirsyncer', '-v', 'INFO', '-c', self.conf]
        if discover or not self.discovered:
            self.execute(command + ['discover'], answers=b'y\n' * 50)  # make the folders
            self.discovered = True
        self.execute(command + ['sync'])

    def files(self):
        """{path: (inode, mtime, size)} of the items."""
        out = {}
        for kind in ('caldav', 'carddav'):
            for top, _, files in os.walk('%s/%s' % (self.dir, kind)):
                for f in files:
                    if f.endswith(('.ics', '.vcf')):
                        s = os.stat(os.path.join(top, f))
                        out[os.path.relpath(os.path.join(top, f), self.dir)] = (s.st_ino, s.st_mtime_ns, s.st_size)
        return out

    def folder(self, name, kind='caldav'):
        return '%s/%s/%s' % (self.dir, kind, name)

    def find(self, text, name, kind='caldav'):
        """The file in a folder that holds the text, or None."""
        for f in sorted(os.listdir(self.folder(name, kind))):
            path = os.path.join(self.folder(name, kind), f)
            with open(path, 'rb') as g:
                if text.encode() in g.read().replace(b'\r\n ', b''):
                    return path
        return None


CALDAV = r'''
import json, os, sys, warnings
warnings.simplefilter('ignore')
import caldav
url, user, file, action = sys.argv[1:5]
state = json.load(open(file)) if os.path.exists(file) else {}
out = {'changed': 0, 'loaded': 0, 'gone': 0, 'calendars': 0}
client = caldav.DAVClient(url, username=user, password='pw')
for calendar in client.principal().calendars():
    path = str(calendar.url.path)
    had = state.get(path) or {'token': None, 'items': {}}
    try:
        changed = calendar.objects_by_sync_token(sync_token=had['token'], load_objects=False)
    except caldav.lib.error.AuthorizationError:  # 403: that token is too old
        changed = calendar.objects_by_sync_token(sync_token=None, load_objects=False)
    out['calendars'] += 1
    for o in changed:
        href = str(o.url.path)
        tag = o.props.get('{DAV:}getetag') if o.props else None
        if tag is not None and had['items'].get(href) == tag:
            continue
        out['changed'] += 1
        try:
            o.load()
            out['loaded'] += 1
            had['items'][href] = o.props.get('{DAV:}getetag') or tag
        except caldav.lib.error.NotFoundError:
            out['gone'] += 1
            had['items'].pop(href, None)
    had['token'] = changed.sync_token
    state[path] = had
    if action and path.rstrip('/').endswith('/' + action):
        calendar.save_event(open(file + '.new').read())
json.dump(state, open(file, 'w'))
print(json.dumps(out))
'''


class PythonCaldav(Program):
    """By sync tokens; events and tasks only. It signs in when it is asked to, and Cyrus does not ask at its root: `start` is another
    path there."""

    name = 'python-caldav'

    def __init__(self, place, user, port, start='/'):
        super().__init__(place, user, port)
        self.url = 'http://127.0.0.1:%d%s' % (port, start)
        self.script = place.write(self.dir + '/sync.py', CALDAV)
        self.file = self.dir + '/state.json'

    def run(self, add=None, calendar=''):
        """add: an event (bytes) to put into the calendar of that last segment."""
        if add:
            self.place.write(self.file + '.new', add.decode())
        self.execute(['/usr/bin/python3', self.script, self.url, self.user, self.file, calendar if add else ''])
        self.said = json.loads(self.output.splitlines()[-1])
        return self.said

    def state(self):
        with open(self.file) as f:
            return json.load(f)


class Dialogue:
    """What the two dialogues share. state: {collection href: {'token', 'ctag', 'items': {href: (ETag, bytes)}}}."""

    def __init__(self, place, user, port, password='pw'):
        self.user, self.port, self.password = user, port, password
        self.state = {}
        self.fresh = self.gone = 0

    def client(self):
        return webdav.Client(self.port, self.user, self.password, agent=self.agent)

    def discover(self, c):
        """From the well-known URLs, as both do."""
        homes = {}
        for service, name in (('caldav', 'C:calendar-home-set'), ('carddav', 'A:addressbook-home-set')):
            path = '/.well-known/' + service
            for _ in range(5):
                r = c.request('PROPFIND', path, webdav.xml('D:propfind', '<D:prop><D:current-user-principal/></D:prop>'), Depth='0',
                              Content_Type='application/xml; charset=utf-8')
                if r.status not in (301, 302, 307, 308):
                    break
                path = webdav.urllib.parse.urlsplit(r.header('Location')).path or '/'
            row = next(iter(r.multistatus().values()))
            principal = row.hrefs('D:current-user-principal')[0]
            homes[service] = next(iter(c.propfind(principal, name, 'D:displayname').values())).hrefs(name)
        return homes

    def collections(self, c):
        homes = self.discover(c)
        return webdav.collections(c, homes['caldav'] + homes['carddav'])

    def run(self):
        """One run; self.fresh items came, self.gone went."""
        self.fresh = self.gone = 0
        with self.client() as c:
            found = self.collections(c)
            for path in set(self.state) - set(found):
                del self.state[path]
            for path, kind in sorted(found.items()):
                self.one(c, path, kind, self.state.setdefault(path, {'kind': kind, 'token': None, 'ctag': None, 'items': {}}))

    def fetch(self, c, path, had, hrefs):
        cards = had['kind'] == 'addressbook'
        data = 'A:address-data' if cards else 'C:calendar-data'
        for at in range(0, len(hrefs), self.batch):
            some = hrefs[at:at + self.batch]
            rows = c.multiget(path, some, cards)
            if {webdav.decoded(h) for h in rows} != {webdav.decoded(h) for h in some}:
                raise webdav.Failure('multiget of %d in %s answered about %s' % (len(some), path, sorted(rows)[:5]))
            for href, row in rows.items():
                if row.status == 404:
                    continue
                had['items'][href] = (row.text('D:getetag'), row.text(data))
                self.fresh += 1

    def settle(self, c, path, had, now):
        """`now` is the whole list {href: ETag}."""
        for href in set(had['items']) - set(now):
            del had['items'][href]
            self.gone += 1
        self.fetch(c, path, had, [h for h in sorted(now) if had['items'].get(h, (None,))[0] != now[h]])

    # ---- edits

    def put(self, path, name, body):
        """A new item; its href."""
        had = self.state[path]
        href = path + davdata.quoted(name)
        with self.client() as c:
            r = c.put(href, body, had['kind'] == 'addressbook', If_None_Match='*')
            if r.status != 201:
                raise webdav.Failure('%r' % r)
        return href

    def change(self, path, href, body):
        had = self.state[path]
        with self.client() as c:
            r = c.put(href, body, had['kind'] == 'addressbook', If_Match=had['items'][href][0])
            if r.status not in (200, 201, 204):
                raise webdav.Failure('%r' % r)

    def delete(self, path, href):
        with self.client() as c:
            r = c.request('DELETE', href, If_Match=self.state[path]['items'][href][0])
            if r.status not in (200, 204):
                raise webdav.Failure('%r' % r)
        del self.state[path]['items'][href]


class Davx5(Dialogue):
    """sync-collection where it is offered, and multiget in batches of 10."""

    name = 'davx5'
    agent = 'DAVx5/4.3 (dav4jvm; okhttp/4.12.0) Android/14'
    batch = 10

    def one(self, c, path, kind, had):
        row = next(iter(c.propfind(path, 'D:supported-report-set', 'D:sync-token', 'CS:getctag', 'D:displayname',
                                   'D:current-user-privilege-set').values()))
        reports = row.props.get(webdav.q('D:supported-report-set'))
        if reports is None or reports.find('.//' + webdav.q('D:sync-collection')) is None:
            if row.text('CS:getctag') != had['ctag'] or had['ctag'] is None:
                self.settle(c, path, had, c.etags(path))
                had['ctag'] = row.text('CS:getctag')
            return
        if had['token'] is not None and had['token'] == row.text('D:sync-token'):
            return
        r = c.sync(path, had['token'])
        if r.status in (403, 409) and had['token']:
            if r.xml().find('.//' + webdav.q('D:valid-sync-token')) is None:
                raise webdav.Failure('a refused token without its reason: %r' % r)
            r = c.sync(path)
            now = {h: x.text('D:getetag') for h, x in r.multistatus().items() if x.status != 404}
            self.settle(c, path, had, now)
        else:
            rows = r.multistatus()
            for href, x in rows.items():
                if x.status == 404 and had['items'].pop(href, None):
                    self.gone += 1
            self.fetch(c, path, had, [h for h, x in sorted(rows.items()) if x.status != 404 and
                                      had['items'].get(h, (None,))[0] != x.text('D:getetag')])
        had['token'] = r.token
        if not had['token']:
            raise webdav.Failure('%s: no sync-token' % path)


class Thunderbird(Dialogue):
    """Polls the ctag; when it changed, lists all ETags and fetches what differs, 100 at a time."""

    name = 'thunderbird'
    agent = 'Mozilla/5.0 (X11; Linux x86_64; rv:115.0) Gecko/20100101 Thunderbird/115.0'
    batch = 100

    def one(self, c, path, kind, had):
        ctag = next(iter(c.propfind(path, 'CS:getctag', 'D:resourcetype').values())).text('CS:getctag')
        if ctag is not None and ctag == had['ctag']:
            return
        self.settle(c, path, had, c.etags(path))
        had['ctag'] = ctag


def fresh_event(text):
    """An event of our own, which the text can be searched for."""
    return davdata.event(uuid.uuid4().hex, 'utc', uid=str(uuid.uuid4()), summary=text)
