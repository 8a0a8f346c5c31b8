noinst_LIBRARIES += libdav.a
libdav_a_CPPFLAGS = $(AM_CPPFLAGS) $(XML_CFLAGS) $(ICAL_CFLAGS)
libdav_a_SOURCES = src/dav/multistatus.c src/dav/xml.c \
	include/wherry/dav/item.h include/wherry/dav/multistatus.h include/wherry/dav/xml.h
