"""A WebDAV client that shows everything it is told, and what the tests compare."""

import base64
import http.client
import re
import socket
import ssl
import urllib.parse
import xml.etree.ElementTree as ET

DAV, CAL, CARD = 'DAV:', 'urn:ietf:params:xml:ns:caldav', 'urn:ietf:params:xml:ns:carddav'
CS, APPLE = 'http://calendarserver.org/ns/', 'http://apple.com/ns/ical/'
SPACES = {'D': DAV, 'C': CAL, 'A': CARD, 'CS': CS, 'I': APPLE}
HEAD = '<?xml version="1.0" encoding="utf-8"?>\n'


def q(name):
    """'D:href' as ElementTree writes it."""
    prefix, local = name.split(':')
    return '{%s}%s' % (SPACES[prefix], local)


def xml(root, *parts):
    """A request body: the root element, with the usual prefixes."""
    names = ' '.join('xmlns:%s="%s"' % x for x in SPACES.items())
    return (HEAD + '<%s %s>%s</%s>' % (root, names, ''.join(parts), root.split()[0])).encode()


def escape(text):
    return text.replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;')


def decoded(href):
    """The path of an href, decoded once."""
    return urllib.parse.unquote(urllib.parse.urlsplit(href).path)


class Failure(AssertionError):
    pass


class Reply:
    def __init__(self, method, path, status, headers, body):
        self.method, self.path, self.status, self.headers, self.body = method, path, status, headers, body

    def __repr__(self):
        return '%s %s: %d %r' % (self.method, self.path, self.status, self.body[:600])

    def header(self, name):
        return self.headers.get(name)

    @property
    def etag(self):
        return self.header('ETag')

    def xml(self):
        return ET.fromstring(self.body)

    def multistatus(self):
        """{href as spelled: Row}."""
        if self.status != 207:
            raise Failure('no multistatus: %r' % self)
        out = {}
        for r in self.xml().findall(q('D:response')):
            row = Row(r)
            if row.href in out:
                raise Failure('%s is in a multistatus twice' % row.href)
            out[row.href] = row
        return out

    @property
    def token(self):
        return self.xml().findtext(q('D:sync-token'))


class Row:
    """A D:response: .status of its own or None, .props {name: element} of those found, .missing [names]."""

    def __init__(self, element):
        self.href = element.findtext(q('D:href')).strip()
        status = element.findtext(q('D:status'))
        self.status = int(status.split()[1]) if status else None
        self.props, self.missing = {}, []
        for stat in element.findall(q('D:propstat')):
            good = int(stat.findtext(q('D:status')).split()[1]) == 200
            for p in stat.find(q('D:prop')):
                if good:
                    self.props[p.tag] = p
                else:
                    self.missing.append(p.tag)

    def text(self, name):
        p = self.props.get(q(name))
        return None if p is None else p.text or ''

    def hrefs(self, name):
        p = self.props.get(q(name))
        return [] if p is None else [h.text.strip() for h in p.findall('.//' + q('D:href'))]

    def kinds(self):
        p = self.props.get(q('D:resourcetype'))
        return set() if p is None else {re.sub(r'\{.*\}', '', x.tag) for x in p}


class Client:
    """One kept connection (opened again when the server closes it) of one person to 127.0.0.1:port."""

    def __init__(self, port, user=None, password='pw', ca=None, timeout=60, agent='wharf', more=None):
        self.port, self.user, self.timeout = port, user, timeout
        self.tls = ssl.create_default_context(cafile=ca) if ca else None
        self.headers = {'User-Agent': agent}
        if user:
            self.headers['Authorization'] = 'Basic ' + base64.b64encode(('%s:%s' % (user, password)).encode()).decode()
        self.headers.update(more or {})
        self.connection = None
        self.busy = 0  # announced 503s that were waited out

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        if self.connection:
            self.connection.close()
            self.connection = None

    def open(self):
        if self.tls:
            self.connection = http.client.HTTPSConnection('127.0.0.1', self.port, timeout=self.timeout, context=self.tls)
        else:
            self.connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=self.timeout)
        self.connection.connect()
        self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def request(self, method, path, body=None, **headers):
        """The reply to one request; header names are given with _ for -."""
        fields = dict(self.headers)
        fields.update({k.replace('_', '-'): v for k, v in headers.items()})
        if isinstance(body, str):
            body = body.encode()
        for attempt in (0, 1):
            fresh = not self.connection
            if fresh:
                self.open()
            try:
                self.connection.request(method, path, body, fields)
                r = self.connection.getresponse()
                got = Reply(method, path, r.status, r.headers, r.read())
                if r.will_close:
                    self.close()
                return got
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                self.close()
                if fresh or attempt:
                    raise

    def ok(self, method, path, body=None, status=None, **headers):
        r = self.request(method, path, body, **headers)
        if r.status not in ((status,) if status else (200, 201, 204, 207)):
            raise Failure('%r\nfor %r' % (r, body and body[:1000]))
        return r

    # ---- the usual questions

    def propfind(self, path, *props, depth=0):
        body = xml('D:propfind', '<D:prop>%s</D:prop>' % ''.join('<%s/>' % p for p in props))
        return self.ok('PROPFIND', path, body, 207, Depth=str(depth), Content_Type='application/xml; charset=utf-8').multistatus()

    def prop(self, path, name):
        rows = self.propfind(path, name)
        return next(iter(rows.values()))

    def report(self, path, body, depth=0, status=207):
        return self.ok('REPORT', path, body, status, Depth=str(depth), Content_Type='application/xml; charset=utf-8')

    def multiget(self, path, hrefs, cards=False, etag=True):
        data = 'A:address-data' if cards else 'C:calendar-data'
        props = '<D:prop>%s<%s/></D:prop>' % ('<D:getetag/>' if etag else '', data)
        body = xml('A:addressbook-multiget' if cards else 'C:calendar-multiget', props,
                   *('<D:href>%s</D:href>' % escape(h) for h in hrefs))
        return self.report(path, body, depth=1).multistatus()

    def sync(self, path, token='', level=1):
        body = xml('D:sync-collection', '<D:sync-token>%s</D:sync-token>' % escape(token or ''),
                   '<D:sync-level>%d</D:sync-level>' % level, '<D:prop><D:getetag/></D:prop>')
        return self.request('REPORT', path, body, Content_Type='application/xml; charset=utf-8')

    def put(self, path, body, cards=False, **conditions):
        kind = 'text/vcard; charset=utf-8' if cards else 'text/calendar; charset=utf-8'
        return self.request('PUT', path, body, Content_Type=kind, **conditions)

    def etags(self, path):
        """{href: ETag} of what is in a collection."""
        rows = self.propfind(path, 'D:getetag', 'D:resourcetype', depth=1)
        return {h: r.text('D:getetag') for h, r in rows.items()
                if 'collection' not in r.kinds() and decoded(h).rstrip('/') != decoded(path).rstrip('/')}

    # ---- making

    def mkcalendar(self, path, name=None, components=('VEVENT',), **props):
        """props: description, color, order, timezone, transparent."""
        sets = ''
        if name is not None:
            sets += '<D:displayname>%s</D:displayname>' % escape(name)
        if components:
            sets += '<C:supported-calendar-component-set>%s</C:supported-calendar-component-set>' % ''.join(
                '<C:comp name="%s"/>' % c for c in components)
        sets += ''.join(PROPERTIES[k] % escape(str(v)) for k, v in props.items())
        return self.ok('MKCALENDAR', path, xml('C:mkcalendar', '<D:set><D:prop>%s</D:prop></D:set>' % sets), 201,
                       Content_Type='application/xml; charset=utf-8')

    def mkbook(self, path, name=None, description=None):
        sets = '<D:resourcetype><D:collection/><A:addressbook/></D:resourcetype>'
        if name is not None:
            sets += '<D:displayname>%s</D:displayname>' % escape(name)
        if description is not None:
            sets += '<A:addressbook-description>%s</A:addressbook-description>' % escape(description)
        return self.ok('MKCOL', path, xml('D:mkcol', '<D:set><D:prop>%s</D:prop></D:set>' % sets), 201,
                       Content_Type='application/xml; charset=utf-8')

    def proppatch(self, path, **props):
        sets = ''.join(PROPERTIES[k] % escape(str(v)) for k, v in props.items())
        return self.ok('PROPPATCH', path, xml('D:propertyupdate', '<D:set><D:prop>%s</D:prop></D:set>' % sets), 207,
                       Content_Type='application/xml; charset=utf-8')


PROPERTIES = {
    'name': '<D:displayname>%s</D:displayname>',
    'description': '<C:calendar-description>%s</C:calendar-description>',
    'color': '<I:calendar-color>%s</I:calendar-color>',
    'order': '<I:calendar-order>%s</I:calendar-order>',
    'timezone': '<C:calendar-timezone>%s</C:calendar-timezone>',
    'transparent': '<C:schedule-calendar-transp><C:%s/></C:schedule-calendar-transp>',
    'about': '<A:addressbook-description>%s</A:addressbook-description>',
}


def discover(client, start='/'):
    """(principal, calendar homes, address book homes), all as spelled."""
    row = next(iter(client.propfind(start, 'D:current-user-principal').values()))
    principal = row.hrefs('D:current-user-principal')
    if len(principal) != 1:
        raise Failure('no principal at %s: %s' % (start, list(row.props)))
    row = next(iter(client.propfind(principal[0], 'C:calendar-home-set', 'A:addressbook-home-set').values()))
    return principal[0], row.hrefs('C:calendar-home-set'), row.hrefs('A:addressbook-home-set')


def collections(client, homes):
    """{href: kind} of calendars and address books below the homes; kind is 'calendar' or 'addressbook'."""
    out = {}
    for home in dict.fromkeys(homes):
        for href, row in client.propfind(home, 'D:resourcetype', depth=1).items():
            for kind in ('calendar', 'addressbook'):
                if kind in row.kinds():
                    out[href] = kind
    return out
