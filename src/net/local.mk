noinst_LIBRARIES += libnet.a
libnet_a_SOURCES = src/net/close.c src/net/deflate.c src/net/deflate_impl.h src/net/dial.c src/net/listen.c src/net/sock.c src/net/sock.h \
	src/net/stream.c src/net/stream_deflate.c src/net/stream_impl.h src/net/stream_tls.c src/net/timer.c src/net/tls.c \
	src/net/tls_impl.h src/net/watch.c src/net/worker.c src/net/worker_impl.h \
	include/wherry/net/stream.h include/wherry/net/tls.h include/wherry/net/watch.h include/wherry/net/worker.h
