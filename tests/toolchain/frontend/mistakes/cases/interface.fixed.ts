class Message {
  source: u32 = 0;
  length: u32 = 0;
}
export function isLong(message: ptr<Message>): boolean {
  return message.length > 1024;
}
