noinst_LIBRARIES += libdav.a
libdav_a_CPPFLAGS = $(AM_CPPFLAGS) $(XML_CFLAGS) $(ICAL_CFLAGS)
libdav_a_SOURCES = src/dav/card.c src/dav/ical.c src/dav/ical.h src/dav/item.c src/dav/lines.c src/dav/lines.h src/dav/multistatus.c \
	src/dav/same.c src/dav/xml.c \
	include/wherry/dav/item.h include/wherry/dav/multistatus.h include/wherry/dav/xml.h
