-- Read the overrides of the limits, and count what shadows would have refused. Runs on every new connection too, before
-- anything is granted there.
--
-- KEYS  1 overrides  string, see overrides.py
--       2 shadowed   hash: '<us since when the shadow is> <key>[ <limit>]' -> messages that it would have refused
-- ARGV  1 now in us (0: this server's clock)  then for each that is to be counted: field, how many
-- Reply {now, the overrides ('': none)}

for i = 2, #ARGV, 2 do
  local counted = redis.pcall('HINCRBY', KEYS[2], ARGV[i], ARGV[i + 1])
  if type(counted) == 'table' and string.find(counted.err, 'WRONGTYPE', 1, true) then
    redis.call('DEL', KEYS[2]) -- nothing of ours, and worth nothing
  end
end
return {clock(ARGV[1]), text_at(KEYS[1])}
