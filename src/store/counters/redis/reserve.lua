-- Takes every charge of some leases, or none.
--
-- KEYS: the sequence of this replica, then for each charge its bucket, its places, or its account and its leases.
-- ARGV: the time up to which this may be done (microseconds; 0: any), the sequence's least number (0: none),
-- how long a lease lives (ms), then
--   l lease                             whose charges follow
--   u tick per_tick weight capacity     units, in points
--   p places
--   m budget amount expires
-- Returns {1 taken, 0 denied, 2 too late; now; 1 if the sequence was lost; then for each charge
--   u denied points tick  |  p denied taken  |  m denied spent(2) reserved(2)}.
local lost = sequence_lost(redis.call('GET', KEYS[1]), ARGV[2])
local until_when = tonumber(ARGV[1])
if until_when > 0 and now > until_when then return {2, now, lost} end

local lease, ttl = '', tonumber(ARGV[3])
local buckets, charges = {}, {}
local key, arg, may = 2, 4, true

local function read_bucket(name, tick, per_tick)
  if not buckets[name] then
    local bucket = {tick = tick, per_tick = per_tick}
    bucket.points, bucket.at, bucket.kept = bucket_read(name, tick, per_tick)
    buckets[name] = bucket
  end
  return buckets[name]
end

local function read_account(charge, budget)
  local kept = redis.call('HMGET', charge.key, 's', 'r')
  charge.new = not kept[1] and not kept[2]
  charge.spent_d, charge.spent_p = 0, 0
  if kept[1] then charge.spent_d, charge.spent_p = money(kept[1]) end
  charge.d, charge.p = reserved_read(charge.key, charge.leases, kept[2])
  local budget_d, budget_p = money(budget)
  local more_d, more_p = money(charge.amount)
  charge.more_d, charge.more_p = carry(charge.d + more_d, charge.p + more_p)
  local all_d, all_p = carry(charge.spent_d + charge.more_d, charge.spent_p + charge.more_p)
  charge.denied = all_d > budget_d or (all_d == budget_d and all_p > budget_p)
end

while arg <= #ARGV do
  local kind = ARGV[arg]
  if kind == 'l' then
    lease, arg = ARGV[arg + 1], arg + 2
    kind = ARGV[arg]
  end
  local charge = {kind = kind, key = KEYS[key], lease = lease}
  if kind == 'u' then
    charge.bucket = read_bucket(charge.key, tonumber(ARGV[arg + 1]), tonumber(ARGV[arg + 2]))
    charge.weight = tonumber(ARGV[arg + 3])
    charge.denied = charge.bucket.points + charge.weight > tonumber(ARGV[arg + 4])
    if may and not charge.denied then charge.bucket.points = charge.bucket.points + charge.weight end
    key, arg = key + 1, arg + 5
  elseif kind == 'p' then
    redis.call('ZREMRANGEBYSCORE', charge.key, '-inf', whole(now_ms))
    charge.taken = redis.call('ZCARD', charge.key)
    charge.denied = charge.taken >= tonumber(ARGV[arg + 1])
    key, arg = key + 1, arg + 2
  else
    charge.leases, charge.amount, charge.expires = KEYS[key + 1], ARGV[arg + 2], ARGV[arg + 3]
    read_account(charge, ARGV[arg + 1])
    key, arg = key + 2, arg + 4
  end
  -- What came before this charge and was taken for it is given back.
  if charge.denied and may then
    may = false
    for _, before in ipairs(charges) do
      if before.weight then before.bucket.points = before.bucket.points - before.weight end
    end
  end
  charges[#charges + 1] = charge
end

local answer = {may and 1 or 0, now, lost}
local function say(value) answer[#answer + 1] = value end
local expiry = whole(now_ms + ttl)
for _, charge in ipairs(charges) do
  say(charge.denied and 1 or 0)
  if charge.kind == 'u' then
    say(charge.bucket.points)
    say(charge.bucket.at)
  elseif charge.kind == 'p' then
    if may then
      charge.taken = charge.taken + redis.call('ZADD', charge.key, expiry, charge.lease)
      redis.call('PEXPIRE', charge.key, whole(ttl + 1000))
    end
    say(charge.taken)
  else
    if may and redis.call('ZADD', charge.leases, expiry, charge.lease .. ' ' .. charge.amount) == 1 then
      charge.d, charge.p = charge.more_d, charge.more_p
      redis.call('HSET', charge.key, 'r', money_text(charge.d, charge.p))
      if charge.new then account_expires(charge.key, charge.expires) end
    end
    if may then redis.call('PEXPIRE', charge.leases, whole(ttl + 1000)) end
    say(charge.spent_d)
    say(charge.spent_p)
    say(charge.d)
    say(charge.p)
  end
end
if may then
  for name, bucket in pairs(buckets) do
    bucket_write(name, bucket.points, bucket.at, bucket.tick, bucket.per_tick, bucket.kept)
  end
end
return answer
