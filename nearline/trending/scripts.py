"""The two scripts that count, each one atomic step in one shard: what the fence has seen is dropped, the rest is counted.

A record is new when its offset lies behind the one in the shard's fence for its topic, epoch and partition. Because each record
is looked at by itself, it does not matter in which batches it comes, from which worker, or how often. Every key is named in
KEYS, so that Redis Cluster refuses a call whole while a slot moves.

A page's string begins with `W` while its starts wait for it, twelve bytes each: the cell's code and the start's time. It
begins with `L` once the page has landed: its time, the length of its segment, its segment, and the codes of the cells that
were not taken yet. A take removes its cell, which is how a cell is taken once.
"""

_PRELUDE = """
local batch = cmsgpack.unpack(ARGV[1])
local ttl_ms, join_ms, window_ms, windows, places, events = unpack(batch)
local reached, moved, counts, counted = {}, {}, {}, {i = 0, t = 0, p = 0}

local counts_key, expires_at = {}, {}
for _, window in ipairs(windows) do counts_key[window[1]] = window[2]; expires_at[window[2]] = window[3] end

local function is_new(place, offset)
  if not reached[place] then reached[place] = tonumber(redis.call('HGET', KEYS[1], places[place]) or '-1') end
  if offset <= reached[place] then return false end
  reached[place] = offset
  moved[place] = true
  return true
end

local function add(key, segment, kind, title)
  local fields = counts[key]
  if not fields then fields = {}; counts[key] = fields end
  local field = segment .. '/' .. kind .. '/' .. title
  fields[field] = (fields[field] or 0) + 1
  counted[kind] = counted[kind] + 1
end

local function is_attributed(start_at, page_at) return start_at <= page_at + join_ms and start_at >= page_at - window_ms end

local function find_cell(code, cells, from)
  local at = string.find(cells, code, from, true)
  while at and (at - from) % 4 ~= 0 do at = string.find(cells, code, at + 1, true) end
  return at
end

local function finish()
  for key, fields in pairs(counts) do
    for field, count in pairs(fields) do redis.call('HINCRBY', KEYS[key], field, count) end
    redis.call('HINCRBY', KEYS[key], '#', 1)
    redis.call('PEXPIREAT', KEYS[key], expires_at[key])
  end
  for place in pairs(moved) do redis.call('HSET', KEYS[1], places[place], string.format('%.0f', reached[place])) end
  return {counted.i, counted.t, counted.p}
end
"""
"""KEYS: the fence, then whatever the batch refers to by its number. ARGV: the batch in msgpack, then each event's digest.
Replies with the impressions, takes and starts counted."""

COUNT_STARTS = (
    _PRELUDE
    + """
local WAITING_BYTES = 12 * 300

local function wait(key, waiting, code, at)
  local start = code .. struct.pack('>d', at)
  for from = 2, #waiting, 12 do
    if string.sub(waiting, from, from + 11) == start then return end
  end
  if #waiting < WAITING_BYTES then redis.call('SET', KEYS[key], waiting .. start, 'PX', ttl_ms) end
end

local function take(key, landed, code, at, title)
  local page_at, length, from = struct.unpack('>dB', landed, 2)
  local segment = string.sub(landed, from, from + length - 1)
  local cell = find_cell(code, landed, from + length)
  local window = counts_key[math.floor(page_at / window_ms)]
  if not cell or not window or not is_attributed(at, page_at) then return end
  redis.call('SET', KEYS[key], string.sub(landed, 1, cell - 1) .. string.sub(landed, cell + 4), 'KEEPTTL')
  add(window, segment, 't', title)
end

for number, event in ipairs(events) do
  local place, offset, at, segment, title, counts_at, starts, page, code = unpack(event)
  if is_new(place, offset) then
    if redis.call('SADD', KEYS[starts], ARGV[number + 1]) == 1 then add(counts_at, segment, 'p', title) end
    redis.call('PEXPIRE', KEYS[starts], ttl_ms)
    if page > 0 then
      code = struct.pack('>I4', code)
      local there = redis.call('GET', KEYS[page]) or 'W'
      if string.sub(there, 1, 1) == 'W' then wait(page, there, code, at) else take(page, there, code, at, title) end
    end
  end
end
return finish()
"""
)
"""Events: place, offset, at_ms, segment, title, key of the counts, key of the viewers, key of the page or 0, cell code. The
digest is the viewer's."""

COUNT_PAGES = (
    _PRELUDE
    + """
local titles, codes = batch[7], {}
for number, code in ipairs(batch[8]) do codes[number] = struct.pack('>I4', code) end

local function take_waiting(waiting, cells, shown, page_at, counts_at, segment)
  for from = 2, #waiting, 12 do
    local code = string.sub(waiting, from, from + 3)
    local cell = find_cell(code, cells, 1)
    if cell and is_attributed(struct.unpack('>d', waiting, from + 4), page_at) then
      local number = (cell - 1) / 4 + 1
      add(counts_at, segment, 't', titles[shown[number]])
      table.remove(shown, number)
      cells = string.sub(cells, 1, cell - 1) .. string.sub(cells, cell + 4)
    end
  end
  return cells
end

for number, event in ipairs(events) do
  local place, offset, at, segment, counts_at, seen, page, shown = unpack(event)
  if is_new(place, offset) and redis.call('SADD', KEYS[seen], ARGV[number + 1]) == 1 then
    redis.call('PEXPIREAT', KEYS[seen], expires_at[counts_at])
    local cells = {}
    for rank, title in ipairs(shown) do
      add(counts_at, segment, 'i', titles[title])
      cells[rank] = codes[title]
    end
    cells = table.concat(cells)
    local waiting = redis.call('GET', KEYS[page])
    if waiting and string.sub(waiting, 1, 1) == 'W' then cells = take_waiting(waiting, cells, shown, at, counts_at, segment) end
    redis.call('SET', KEYS[page], 'L' .. struct.pack('>dB', at, #segment) .. segment .. cells, 'PX', ttl_ms)
  end
end
return finish()
"""
)
"""Events: place, offset, at_ms, segment, key of the counts, key of the pages seen, key of the page, and the titles shown as
numbers into the seventh part of the batch, the eighth part being their codes. The digest is the page's."""
