dist_man_MANS += man/wherryctl.1 man/wherryd.conf.5 man/wherryd.8 man/wherry-imap.7 man/wherry-dav.7
