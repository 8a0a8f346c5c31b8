"""HTTPS of the calendars' listener: ALPN, and what the other listeners do not take part in."""

import os
import signal
import socket
import ssl

from wharf.place import Process, answers, wait_for

CONF = '''listen { dav = {"127.0.0.1:%d"}  imaps = {"127.0.0.1:%d"} }
tls    { certificate = "%s"  key = "%s" }
old    { dav { url = "http://127.0.0.1:9/" }  imap { host = "127.0.0.1" port = 9 tls = none } }
new    { dav { url = "http://127.0.0.1:8/" }  imap { host = "127.0.0.1" port = 8 tls = none } }
auth   { by = dav }
store  { path = "%s" }
'''


def chosen(place, port, *offered):
    context = ssl.create_default_context(cafile=place.ca)
    context.check_hostname = False
    if offered:
        context.set_alpn_protocols(list(offered))
    with context.wrap_socket(socket.create_connection(('127.0.0.1', port), timeout=10)) as s:
        return s.selected_alpn_protocol()


def test_alpn(w):
    place = w.place
    place.certificates()
    d, dav, imaps = place.folder('alpn'), place.port(), place.port()
    conf = place.write(d + '/conf', CONF % (dav, imaps, place.cert, place.key, d + '/store'))
    daemon = Process(place, [w.bin + '/wherryd', '-c', conf], d + '/log')
    wait_for(lambda: answers(dav) and answers(imaps), 20, 'wherryd to listen')
    assert chosen(place, dav, 'h2', 'http/1.1') == 'http/1.1'
    assert chosen(place, dav, 'h2') is None and chosen(place, dav) is None
    assert chosen(place, imaps, 'http/1.1') is None
    os.kill(daemon.pid, signal.SIGHUP)
    with open(d + '/log') as log:
        wait_for(lambda: 'event=reloaded' in log.read(), 20, 'the certificate to be read again')
    assert chosen(place, dav, 'http/1.1') == 'http/1.1'
    daemon.stop()
