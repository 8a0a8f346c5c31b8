noinst_LIBRARIES += libhttp.a
libhttp_a_SOURCES = src/http/head.c src/http/request.c src/http/uri.c include/wherry/http/head.h \
	include/wherry/http/request.h include/wherry/http/uri.h
libhttp_a_CPPFLAGS = $(AM_CPPFLAGS) $(LLHTTP_CFLAGS)
HTTP_LIBS = libhttp.a $(LLHTTP_BUILT) $(LLHTTP_LIBS)
# llhttp's C source where the system has no library of it: copied, since it lies outside of both trees, and built strict.
if LLHTTP_BUILT_IN
noinst_LIBRARIES += libllhttp.a
LLHTTP_BUILT = libllhttp.a
nodist_libllhttp_a_SOURCES = llhttp-llhttp.c llhttp-api.c llhttp-http.c
libllhttp_a_CPPFLAGS = $(LLHTTP_CFLAGS)
libllhttp_a_CFLAGS = -w $(HARDEN_CFLAGS)
CLEANFILES += $(nodist_libllhttp_a_SOURCES)
$(nodist_libllhttp_a_SOURCES): config.status
	$(AM_V_GEN)cp -f "$(LLHTTP_SOURCE)/$(@:llhttp-%=%)" $@ && chmod u+w $@
endif
