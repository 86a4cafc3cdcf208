-- A replica says that it lives, and learns how many do.
--
-- KEYS: the replicas by when they last said so, and the incarnation of each.
-- ARGV: this replica's name, its incarnation, how long one counts as living (ms), 1 if it leaves.
-- Returns {how many live; 1 if this one was not known; 1 if another incarnation used the name; now}.
local TIME = redis.call('TIME')
local now = TIME[1] * 1000000 + TIME[2]
local now_ms = (now - now % 1000) / 1000
local function whole(number) return string.format('%.0f', number) end

if ARGV[4] == '1' then
  redis.call('ZREM', KEYS[1], ARGV[1])
  redis.call('HDEL', KEYS[2], ARGV[1])
  return {redis.call('ZCARD', KEYS[1]), 0, 0, now}
end
local dead = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', whole(now_ms - ARGV[3]))
for _, name in ipairs(dead) do
  redis.call('ZREM', KEYS[1], name)
  redis.call('HDEL', KEYS[2], name)
end
local new = redis.call('ZADD', KEYS[1], whole(now_ms), ARGV[1])
local former = redis.call('HGET', KEYS[2], ARGV[1])
local other = 0
if former ~= ARGV[2] then
  if former then other = 1 end
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
end
redis.call('PEXPIRE', KEYS[1], whole(ARGV[3] * 2))
redis.call('PEXPIRE', KEYS[2], whole(ARGV[3] * 2))
return {redis.call('ZCARD', KEYS[1]), new, other, now}
