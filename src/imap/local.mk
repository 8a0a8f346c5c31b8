noinst_LIBRARIES += libimap.a
libimap_a_SOURCES = \
	include/wherry/imap/caps.h include/wherry/imap/cmd.h include/wherry/imap/lex.h \
	include/wherry/imap/names.h include/wherry/imap/resp.h include/wherry/imap/set.h \
	include/wherry/imap/uidlist.h include/wherry/imap/uidmap.h \
	src/imap/caps.c src/imap/cmd.c src/imap/fetch.c src/imap/lex.c src/imap/line.c \
	src/imap/mutf7.c src/imap/names.c src/imap/resp.c src/imap/set.c src/imap/uidlist.c src/imap/uidmap.c \
	src/imap/uidmap_wire.c
