-- What a replica has to tell of one organisation, once: each batch has a number, and a number that was applied is
-- not applied again.
--
-- KEYS: the sequence of this replica, then those of each step.
-- ARGV: the batch's number, how long its number is kept (ms), how long a lease lives (ms), this replica's name,
-- the sequence's least number before (0: none), then for each step
--   u tick per_tick back more   units given back, then units more (points)
--   p lease                     a place is left
--   P lease                     a place is held
--   m lease amount expires      a reservation ends
--   M lease amount expires      a reservation is held
--   s amount set expires        this replica has spent so much in all; set: exactly that, and the fields of this
--                               replica's former incarnations go
-- Returns {1 applied, 0 it had been; now; 1 if the sequence was lost}.
local last = redis.call('GET', KEYS[1])
local lost = sequence_lost(last, ARGV[5])
if last and tonumber(last) >= tonumber(ARGV[1]) then return {0, now, lost} end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])

local ttl, replica = tonumber(ARGV[3]), ARGV[4]
local expiry, lives = whole(now_ms + ttl), whole(ttl + 1000)
local key, arg = 2, 6

-- Puts a reservation in (`by` 1) or takes it out (-1), if that has not been done.
local function reservation(by, account, leases, lease, amount, expires)
  local dollars, parts = reserved_read(account, leases, redis.call('HGET', account, 'r'))
  local member, changed = lease .. ' ' .. amount, nil
  if by > 0 then
    changed = redis.call('ZADD', leases, expiry, member)
    redis.call('PEXPIRE', leases, lives)
  else
    changed = redis.call('ZREM', leases, member)
  end
  if changed == 1 then
    local d, p = money(amount)
    dollars, parts = carry(dollars + by * d, parts + by * p)
  end
  redis.call('HSET', account, 'r', money_text(dollars, parts))
  account_expires(account, expires)
end

local function publish(account, amount, set, expires)
  local field = '@' .. replica
  local kept = redis.call('HMGET', account, 's', field)
  local sum_d, sum_p = 0, 0
  if kept[1] then sum_d, sum_p = money(kept[1]) end
  local new_d, new_p = money(amount)
  if kept[2] then
    local old_d, old_p = money(kept[2])
    -- Without `set` a sum only grows: what is older came later.
    if set ~= '1' and (old_d > new_d or (old_d == new_d and old_p >= new_p)) then return end
    sum_d, sum_p = carry(sum_d - old_d, sum_p - old_p)
  end
  sum_d, sum_p = carry(sum_d + new_d, sum_p + new_p)
  if set == '1' then
    local former = field .. '.'
    for _, name in ipairs(redis.call('HKEYS', account)) do
      if string.sub(name, 1, #former) == former then
        local d, p = money(redis.call('HGET', account, name))
        sum_d, sum_p = carry(sum_d - d, sum_p - p)
        redis.call('HDEL', account, name)
      end
    end
  end
  redis.call('HSET', account, 's', money_text(sum_d, sum_p), field, amount)
  account_expires(account, expires)
end

while arg <= #ARGV do
  local step = ARGV[arg]
  if step == 'u' then
    local tick, per_tick = tonumber(ARGV[arg + 1]), tonumber(ARGV[arg + 2])
    local points, at, kept = bucket_read(KEYS[key], tick, per_tick)
    points = math.max(0, points - tonumber(ARGV[arg + 3]))
    points = math.min(MAX_POINTS, points + tonumber(ARGV[arg + 4]))
    bucket_write(KEYS[key], points, at, tick, per_tick, kept)
    key, arg = key + 1, arg + 5
  elseif step == 'p' then
    redis.call('ZREM', KEYS[key], ARGV[arg + 1])
    key, arg = key + 1, arg + 2
  elseif step == 'P' then
    redis.call('ZADD', KEYS[key], expiry, ARGV[arg + 1])
    redis.call('PEXPIRE', KEYS[key], lives)
    key, arg = key + 1, arg + 2
  elseif step == 'm' or step == 'M' then
    local by = step == 'M' and 1 or -1
    reservation(by, KEYS[key], KEYS[key + 1], ARGV[arg + 1], ARGV[arg + 2], ARGV[arg + 3])
    key, arg = key + 2, arg + 4
  else
    publish(KEYS[key], ARGV[arg + 1], ARGV[arg + 2], ARGV[arg + 3])
    key, arg = key + 1, arg + 4
  end
end
return {1, now, lost}
