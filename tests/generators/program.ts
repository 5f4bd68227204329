// What somebody might write with the types that openapi-typescript makes of openapi.json.
import type { components, operations, paths } from "./schema";

type Spec = components["schemas"]["TuningSpec"];
type Job = components["schemas"]["TuningJob"];
type Problem = components["schemas"]["Problem"];
type Created = paths["/v1/tuning-jobs"]["post"]["responses"][202]["content"]["application/json"];
type Query = NonNullable<operations["get_tuning_job"]["parameters"]["query"]>;

export const spec: Spec = {
  model: { kind: "builtin", name: "mlp", options: { hidden: [16] } },
  dataset: { kind: "sklearn", name: "digits" },
  training: { task: "classification", optimizer: { kind: "sgd", momentum: 0.9 } },
  objective: { kind: "time_to_target", target: 0.3 },
};

// @ts-expect-error A kind that is not there is an error while it is written.
export const wrong: Spec["dataset"] = { kind: "sklern", name: "digits" };

export async function tune(url: string, key: string): Promise<number | null> {
  const headers = { Authorization: `Bearer ${key}`, "Content-Type": "application/json" };
  const reply = await fetch(`${url}/v1/tuning-jobs`, {
    method: "POST",
    headers,
    body: JSON.stringify(spec),
  });
  if (reply.status !== 202) {
    const problem = (await reply.json()) as Problem;
    throw new Error(`${problem.code}: ${problem.errors?.[0]?.pointer ?? problem.detail}`);
  }
  let job: Job = (await reply.json()) as Created;
  const query: Query = { wait: 30 };
  while (job.state === "queued" || job.state === "running" || job.state === "cancelling") {
    const again = await fetch(`${url}/v1/tuning-jobs/${job.id}?wait=${query.wait}`, { headers });
    job = (await again.json()) as Job;
  }
  return job.recommendation?.learning_rate ?? null;
}

export function describe(model: Spec["model"]): string {
  // `kind` tells the variants apart.
  switch (model.kind) {
    case "builtin":
      return model.name;
    case "hf_config":
      return model.model_type;
    case "entrypoint":
      return model.target;
  }
}
