class Job {
  id: u64 = 0;
  next: ptr<Job> | null = null;
}
export function create(id: u64): ptr<Job> {
  const job = new Job();
  job.id = id;
  return job;
}
