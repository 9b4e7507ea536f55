-- Runs on unary gRPC methods, with the whole body before it. A body that is not one whole message would leave the service
-- waiting for the rest until the deadline, or be answered INTERNAL by its gRPC library, without a reason.
--
-- MALFORMED, the headers of our answer, is generated before this text.

local ENCODINGS = { identity = true, gzip = true, deflate = true }

local function whole_message(body, encoding)
  local size = body ~= nil and body:length() or 0
  if size < 5 then
    return false
  end
  local compressed, a, b, c, d = body:getBytes(0, 5):byte(1, 5)
  return size == 5 + ((a * 256 + b) * 256 + c) * 256 + d and (compressed == 0 or compressed == 1 and encoding ~= nil)
end

function envoy_on_request(handle)
  local encoding = handle:headers():get("grpc-encoding")
  if (encoding ~= nil and not ENCODINGS[encoding]) or not whole_message(handle:body(), encoding) then
    handle:respond(MALFORMED, "")
  end
end
