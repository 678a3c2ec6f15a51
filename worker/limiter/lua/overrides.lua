-- Read the overrides of the limits, and count what shadows would have refused. Runs on every new connection too, before
-- anything is granted there.
--
-- KEYS  1 overrides  string, see overrides.py
--       2 shadowed   hash: '<us since when the shadow is> <key>[ <limit>]' -> messages that it would have refused
-- ARGV  1 now in us (0: this server's clock)  then for each that is to be counted: field, how many
-- Reply {now, the overrides ('': none)}

if #ARGV > 1 then make_room(KEYS[2], 'hash') end
for i = 2, #ARGV, 2 do redis.call('HINCRBY', KEYS[2], ARGV[i], ARGV[i + 1]) end
return {clock(ARGV[1]), text_at(KEYS[1])}
