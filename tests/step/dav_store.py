"""A scripted calendar host: it keeps what it is given in memory, and does what a test tells it to do to some of the requests."""

import base64
import http.server
import re
import threading
import urllib.parse

CAL, CARD, CS = 'urn:ietf:params:xml:ns:caldav', 'urn:ietf:params:xml:ns:carddav', 'http://calendarserver.org/ns/'
HEAD = '<?xml version="1.0"?>\n<D:multistatus xmlns:D="DAV:" xmlns:C="%s" xmlns:A="%s" xmlns:S="%s">' % (CAL, CARD, CS)


def event(uid, summary='x', more=''):
    return ('BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//step//EN\r\nBEGIN:VEVENT\r\nUID:%s\r\nDTSTAMP:20240101T000000Z\r\n'
            'DTSTART:20240501T100000Z\r\nDTEND:20240501T110000Z\r\nSUMMARY:%s\r\n%sEND:VEVENT\r\nEND:VCALENDAR\r\n' %
            (uid, summary, more)).encode()


def escaped(text):
    return text.replace('&', '&amp;').replace('<', '&lt;').replace('\r', '&#13;')


class Collection:
    def __init__(self, kind, title=''):
        self.kind, self.title, self.items, self.changes = kind, title, {}, 0

    def put(self, name, body):
        self.changes += 1
        self.items[name] = ('"%s-%d"' % (self.kind, self.changes), body)
        return self.items[name][0]


class Request:
    def __init__(self, handler, path, body):
        self.method, self.path, self.body, self.headers = handler.command, path, body, handler.headers


class DavHost:
    """One for each side; `prefix` stands before every path, so that the two hosts' hrefs differ. Faults are added with on(): a
    function of the request that gives None (go on), (status, headers, body), 'cut' or 'silence'."""

    def __init__(self, prefix):
        self.prefix, self.lock, self.hooks = prefix, threading.RLock(), []
        self.collections, self.seen = {}, []
        self.tokens = self.etags = self.etag_on_put = True
        host = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'
            wbufsize = -1

            def handle_one_request(self):
                self.raw_requestline = self.rfile.readline(65537)
                if not self.raw_requestline or not self.parse_request():
                    self.close_connection = True
                    return
                host.serve(self)
                self.wfile.flush()

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    # ---- for tests

    def calendar(self, user, name='work', kind='calendar'):
        path = '%s/%s/cal/%s/' % (self.prefix, user, name)
        with self.lock:
            return self.collections.setdefault(path, Collection(kind, name))

    def on(self, method, hook, times=1000000, path=''):
        with self.lock:
            self.hooks.append([re.compile('^(%s)$' % method), re.compile(path), hook, times])

    def count(self, method, path=''):
        with self.lock:
            return len([1 for r in self.seen if r.method == method and re.search(path, r.path)])

    # ---- the host

    def serve(self, h):
        n = int(h.headers.get('Content-Length') or 0)
        r = Request(h, urllib.parse.unquote(h.path.split('?')[0]), h.rfile.read(n))
        with self.lock:
            self.seen.append(r)
            got = self.answer(r)
        if got == 'silence':
            h.rfile.read(1)  # until wherryd has had enough
        if got in ('cut', 'silence'):
            h.close_connection = True
            return
        status, headers, body = got
        if isinstance(body, str):
            body = body.encode()
        h.send_response_only(status)
        for k, v in headers:
            h.send_header(k, v)
        h.send_header('Content-Length', str(len(body)))
        h.end_headers()
        if r.method != 'HEAD':
            h.wfile.write(body)

    def answer(self, r):
        for hook in self.hooks:
            if hook[3] > 0 and hook[0].match(r.method) and hook[1].search(r.path):
                got = hook[2](r)
                if got is not None:
                    hook[3] -= 1
                    return got
        name = base64.b64decode((r.headers.get('Authorization') or 'Basic Og==').split()[1]).decode().partition(':')
        if not name[0] or name[2] != 'pw':
            return 401, [('WWW-Authenticate', 'Basic realm="step"')], ''
        self.user = name[0]
        return getattr(self, 'do_' + r.method, lambda r: (501, [], ''))(r)

    def place(self, path):
        """(collection, name of the item), either of them None."""
        if path.rstrip('/') + '/' in self.collections:
            return self.collections[path.rstrip('/') + '/'], None
        folder, _, name = path.rpartition('/')
        return self.collections.get(folder + '/'), name

    def do_OPTIONS(self, r):
        return 200, [('DAV', '1, 3, calendar-access, addressbook'), ('Allow', 'OPTIONS')], ''

    def response(self, href, props):
        return '<D:response><D:href>%s</D:href><D:propstat><D:prop>%s</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat>' \
               '</D:response>' % (escaped(urllib.parse.quote(href)), props)

    def collection_props(self, c):
        text = '<D:resourcetype><D:collection/>%s</D:resourcetype><D:displayname>%s</D:displayname>' % (
            '<C:calendar/>' if c.kind == 'calendar' else '<A:addressbook/>', escaped(c.title))
        if self.tokens:
            text += '<D:sync-token>http://step/%d</D:sync-token><S:getctag>%d</S:getctag>' % (c.changes, c.changes)
        return text

    def item_props(self, c, name):
        tag, body = c.items[name]
        return '<D:resourcetype/><D:getcontentlength>%d</D:getcontentlength>%s' % (
            len(body), '<D:getetag>%s</D:getetag>' % escaped(tag) if self.etags else '')

    def do_PROPFIND(self, r):
        home = '%s/%s/cal/' % (self.prefix, self.user)
        principal = '%s/%s/' % (self.prefix, self.user)
        c, name = self.place(r.path)
        if r.path.startswith('/.well-known') or r.path.rstrip('/') == self.prefix:
            text = self.response(r.path, '<D:current-user-principal><D:href>%s</D:href></D:current-user-principal>' % principal)
        elif r.path == principal:
            text = self.response(r.path, '<C:calendar-home-set><D:href>%s</D:href></C:calendar-home-set>' % home)
        elif r.path == home:
            text = self.response(r.path, '<D:resourcetype><D:collection/></D:resourcetype>')
            text += ''.join(self.response(p, self.collection_props(k)) for p, k in self.collections.items() if p.startswith(home))
        elif c and name is None:
            text = self.response(r.path, self.collection_props(c))
            if r.headers.get('Depth') == '1':
                text += ''.join(self.response(r.path + n, self.item_props(c, n)) for n in c.items)
        elif c and name in c.items:
            text = self.response(r.path, self.item_props(c, name))
        else:
            return 404, [], ''
        return 207, [('Content-Type', 'application/xml')], HEAD + text + '</D:multistatus>'

    def do_REPORT(self, r):
        c, _ = self.place(r.path)
        text = ''
        for href in re.findall(rb'<D:href>(.*?)</D:href>', r.body):
            path = urllib.parse.unquote(href.decode())
            name = path.rpartition('/')[2]
            if name in c.items:
                tag, body = c.items[name]
                text += self.response(path, '<D:getetag>%s</D:getetag><C:calendar-data>%s</C:calendar-data>' % (
                    escaped(tag), escaped(body.decode())))
        return 207, [('Content-Type', 'application/xml')], HEAD + text + '</D:multistatus>'

    def do_GET(self, r):
        c, name = self.place(r.path)
        if not c or name not in c.items:
            return 404, [], ''
        return 200, [('ETag', c.items[name][0]), ('Content-Type', 'text/calendar')], c.items[name][1]

    def refused(self, r, c, name):
        there = c.items.get(name)
        if r.headers.get('If-None-Match') == '*' and there:
            return True
        want = r.headers.get('If-Match')
        return want is not None and (not there or want != there[0])

    def do_PUT(self, r):
        c, name = self.place(r.path)
        if not c or not name:
            return 409, [], ''
        if self.refused(r, c, name):
            return 412, [], ''
        new = name not in c.items
        tag = c.put(name, r.body)
        return (201 if new else 204), [('ETag', tag)] if self.etag_on_put else [], ''

    def do_DELETE(self, r):
        c, name = self.place(r.path)
        if not c or name not in c.items:
            return 404, [], ''
        if self.refused(r, c, name):
            return 412, [], ''
        c.changes += 1
        del c.items[name]
        return 204, [], ''

    def do_MKCALENDAR(self, r):
        if self.place(r.path)[0]:
            return 405, [], ''
        self.collections[r.path] = Collection('calendar', ''.join(re.findall(r'<[^/>]*displayname[^>]*>([^<]*)<', r.body.decode())))
        return 201, [], ''

    def do_PROPPATCH(self, r):
        c, _ = self.place(r.path)
        for title in re.findall(r'<[^/>]*displayname[^>]*>([^<]*)<', r.body.decode()):
            c.title = title
        return 207, [], HEAD + self.response(r.path, '<D:displayname/>') + '</D:multistatus>'
